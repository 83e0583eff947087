"""Checks the values of the settings; an invalid value gives one line that names its flag."""

import dataclasses

from keras_cdd.errors import UserError

POSITIVE = (
    "width",
    "embedding_size",
    "epochs",
    "teacher_epochs",
    "identities_per_batch",
    "images_per_identity",
    "cache_gib",
    "learning_rate",
    "num_cuts",
    "round_to",
    "pad_channels",
    "queue_size",
    "reset_every",
    "reset_neighbours",
    "temperature",
)
NOT_NEGATIVE = (
    "shift",
    "rotation",
    "warmup_epochs",
    "cosine_delay",
    "teacher_cosine_delay",
    "teacher_learning_rate",
    "weight_decay",
    "head_learning_rate",
    "backbone_learning_rate",
    "freeze_epochs",
    "teacher_freeze_epochs",
    "gradient_clip",
    "compression_weight",
    "surgery_every",
    "bn_reestimate",
    "eval_every",
    "teacher_cache_views",
)


def check_settings(config):
    """Checks every setting, then combinations of settings.

    Args:
        config: `Config`.

    Raises:
        UserError: if a value is invalid; the message states the flag, the rule and the value.
    """
    values = {}
    for section in dataclasses.fields(config):
        part = getattr(config, section.name)
        values |= {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
        for field in dataclasses.fields(part):
            _check_choice(field, values[field.name])
    for name in POSITIVE:
        require(values[name] > 0, f"--{name} must be positive", values[name])
    for name in NOT_NEGATIVE:
        require(values[name] >= 0, f"--{name} must not be negative", values[name])
    _check_ranges(values)
    _check_together(config)


def require(holds, rule, received):
    """Raises `UserError` with `rule` and the received value if `holds` is false."""
    if not holds:
        raise UserError(f"{rule}. Received: {received}")


def _check_choice(field, value):
    choices = field.metadata["choices"]
    known = not choices or value is None or value in choices
    require(known, f"--{field.name} must be one of {', '.join(map(str, choices or ()))}", value)


def _check_ranges(values):
    for name in ("target_macs", "target_params"):
        value = values[name]
        require(value is None or 0 < value <= 1, f"--{name} is a fraction above 0 and at most 1", value)
    for name in ("momentum", "erasing", "brightness", "contrast", "saturation"):
        require(0 <= values[name] <= 1, f"--{name} must be in 0..1", values[name])
    for name in ("label_smoothing", "reset_ratio", "ema"):
        require(0 <= values[name] < 1, f"--{name} must be at least 0 and below 1", values[name])
    require(0 <= values["hue"] <= 0.5, "--hue must be in 0..0.5", values["hue"])
    require(0 < values["random_crop"] <= 1, "--random_crop must be above 0 and at most 1", values["random_crop"])
    size, scale = values["image_size"], values["scale"]
    require(len(size) == 2 and min(size) > 0, "--image_size is height,width, both positive", size)
    require(len(scale) == 2 and 0 < scale[0] <= scale[1], "--scale is smallest,largest, above 0", scale)
    require(0 <= values["seed"] < 2**31, f"--seed must be in 0..{2**31 - 1}", values["seed"])


def _check_together(config):
    surgery = config.surgery
    budgets = [surgery.target_macs, surgery.target_params, surgery.target_ms]
    require(budgets.count(None) > 1, "--target_macs, --target_params and --target_ms exclude each other", budgets)
    require(surgery.target_ms is None or surgery.target_ms > 0, "--target_ms must be positive", surgery.target_ms)
    single = surgery.target_ms is None or config.training.strategy != "multi_worker"
    require(single, "--target_ms measures one machine, so it has no --strategy=multi_worker", surgery.target_ms)
    cuts = (config.cut_start, config.cut_end)
    rule = "--cut_start and --cut_end must follow each other within the run's epochs"
    require(0 <= cuts[0] <= cuts[1] <= config.training.epochs, rule, cuts)
    frozen = config.training.freeze_epochs
    rule = "--freeze_epochs must be over at --cut_start, since channels are cut by what they do in training"
    require(not config.has_budget or frozen == 0 or frozen <= cuts[0], rule, (frozen, cuts[0]))
    batches = config.surgery.bn_reestimate
    rule = "--freeze_bn keeps the statistics that --bn_reestimate would replace; leave out one of them"
    require(not config.training.freeze_bn or batches == 0, rule, f"--bn_reestimate={batches}")
    static = config.run.student != "static" or config.run.kept_filters
    require(static, "--student=static needs --kept_filters", config.run.kept_filters)
    compression = config.compression
    reset = config.surgery.importance != "reset" or compression.gradient_reset_epoch >= 0
    require(reset, "--importance=reset needs --gradient_reset_epoch", compression.gradient_reset_epoch)
    neighbours = (compression.reset_neighbours, compression.queue_size)
    require(neighbours[0] <= neighbours[1], "--reset_neighbours must not exceed --queue_size", neighbours)
    run = config.run
    pretrained = run.student_init != "pretrained" or run.pretrained or run.student_model
    require(pretrained, "--student_init=pretrained needs --pretrained or --student_model", run.pretrained)
    rule = "--student_init=pretrained beside --teacher needs --backbone, the network of the weights"
    network = run.student_init != "pretrained" or run.teacher is None or run.student_model or config.network.backbone
    require(network, rule, run.teacher)
    data = config.data
    compiled = config.training.jit_compile and data.augment_on_device
    rule = "--jit_compile with --augment_on_device takes no --rotation, --scale or --random_crop"
    resamples = (data.rotation, *data.scale, data.random_crop)
    require(not compiled or resamples == (0.0, 1.0, 1.0, 1.0), rule, resamples)
    _check_teacher_embeddings(config)
    training = config.training
    rule = "--jit_compile and --deterministic exclude each other: Keras compiles no deterministic steps"
    require(not (training.jit_compile and training.deterministic), rule, "both")
    network = run.student_model is None or run.teacher is not None or config.network.backbone or not run.pretrained
    require(network, "--pretrained needs a --backbone beside --student_model", run.pretrained)


def _check_teacher_embeddings(config):
    given = config.run.teacher_embeddings
    if given is None:
        return
    require(config.run.teacher is None, "--teacher_embeddings and --teacher exclude each other", config.run.teacher)
    start = config.compression.gradient_reset_epoch
    require(start < 0, "--gradient_reset_epoch needs a teacher network, not --teacher_embeddings", start)
    views = config.run.teacher_cache_views
    require(views == 0, "--teacher_cache_views needs a teacher network, not --teacher_embeddings", views)
