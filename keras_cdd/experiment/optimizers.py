"""Makes the optimizer that the settings describe."""

from keras_cdd.layers.embedding_head import HEAD
from keras_cdd.optimization import OPTIMIZERS, WarmupCosine, WarmupMultiStep
from keras_cdd.optimization.precision import with_loss_scaling

# What learns at the head's rate. A linear projection does not: it starts as a PCA of the features, and follows them.
HEAD_RATES = {"neck": HEAD, "none": HEAD, "linear": f"{HEAD}logits"}


def rate_of(config, stage):
    """The name of the setting that is the learning rate of a stage, "teacher" or "student"."""
    own = stage == "teacher" and config.teacher_learning_rate
    return "teacher_learning_rate" if own else "learning_rate"


def make_optimizer(config, head, stage, epochs, steps_per_epoch):
    """Makes an optimizer with its learning rate schedule, and with loss scaling in float16.

    Args:
        config: `TrainingConfig`.
        head: "neck", "linear" or "none", see `embedding_head`.
        stage: "teacher" or "student".
        epochs: number of epochs of the stage.
        steps_per_epoch: optimizer steps per epoch.
    """
    highest = getattr(config, rate_of(config, stage))
    warmup = {"warmup_epochs": config.warmup_epochs, "warmup_factor": 0.1}
    if config.schedule == "multistep":
        rate = WarmupMultiStep(highest, list(config.milestones), steps_per_epoch, **warmup)
    else:
        delay = config.teacher_cosine_delay if stage == "teacher" else config.cosine_delay
        delay = max(delay, config.warmup_epochs)
        rate = WarmupCosine(highest, epochs, steps_per_epoch, delay, **warmup)
    optimizer = OPTIMIZERS[config.optimizer](
        rate,
        config.momentum,
        config.weight_decay,
        lr_multipliers={HEAD_RATES[head]: config.head_learning_rate},
        other_lr_multiplier=config.backbone_learning_rate,
        global_clipnorm=config.gradient_clip or None,
        average_decay=config.ema or None,
    )
    return with_loss_scaling(optimizer, config.mixed_precision)
