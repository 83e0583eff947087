"""Learning-rate schedules with a warm-up; the rate is constant within an epoch."""

import math

import keras
from keras import ops


class _EpochSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that depends on the epoch only; subclasses define `after_warmup`."""

    def __init__(self, base, steps_per_epoch, warmup_epochs, warmup_factor, warmup, **rest):
        if warmup not in ("linear", "constant"):
            raise ValueError(f"Argument `warmup` must be 'linear' or 'constant'. Received: warmup={warmup!r}")
        if steps_per_epoch < 1:
            raise ValueError(
                f"Argument `steps_per_epoch` must be at least 1. Received: steps_per_epoch={steps_per_epoch}"
            )
        self.base = base
        self.steps_per_epoch = steps_per_epoch
        self.warmup_epochs = warmup_epochs
        self.warmup_factor = warmup_factor
        self.warmup = warmup
        self.rest = rest

    def __call__(self, step):
        return self.at_epoch(ops.floor(ops.cast(step, "float32") / self.steps_per_epoch))

    def at_epoch(self, epoch):
        """The rate during an epoch; epochs count from 0."""
        epoch = ops.cast(epoch, "float32")
        progress = epoch / max(self.warmup_epochs, 1) if self.warmup == "linear" else 0.0
        warming = self.base * (self.warmup_factor + (1.0 - self.warmup_factor) * progress)
        return ops.where(epoch < self.warmup_epochs, warming, self.after_warmup(epoch))

    def get_config(self):
        names = ("base", "steps_per_epoch", "warmup_epochs", "warmup_factor", "warmup")
        return {**{name: getattr(self, name) for name in names}, **self.rest}


@keras.saving.register_keras_serializable("keras_cdd")
class WarmupCosine(_EpochSchedule):
    """Warm-up, then `base` until epoch `delay`, then half a cosine down to `minimum` at epoch `epochs`.

    Args:
        base: learning rate after the warm-up.
        epochs: epoch at which the cosine ends.
        steps_per_epoch: optimizer steps per epoch.
        delay: epoch at which the cosine starts, counted from the beginning of the warm-up. Default: 0.
        minimum: learning rate at the end. Default: 0.
        warmup_epochs: length of the warm-up. Default: 0, no warm-up.
        warmup_factor: fraction of `base` at which the warm-up starts. Default: 0.1.
        warmup: "linear" (the default) rises to `base`; "constant" stays at `warmup_factor * base`.

    Raises:
        ValueError: if `warmup` is unknown or `steps_per_epoch` is below 1.
    """

    def __init__(
        self,
        base,
        epochs,
        steps_per_epoch,
        delay=0,
        minimum=0.0,
        warmup_epochs=0,
        warmup_factor=0.1,
        warmup="linear",
    ):
        rest = {"epochs": epochs, "delay": delay, "minimum": minimum}
        super().__init__(base, steps_per_epoch, warmup_epochs, warmup_factor, warmup, **rest)

    def after_warmup(self, epoch):
        """The rate in an epoch after the warm-up."""
        epochs, delay, minimum = (self.rest[name] for name in ("epochs", "delay", "minimum"))
        progress = ops.clip((epoch - delay) / max(epochs - delay, 1), 0.0, 1.0)
        return minimum + (self.base - minimum) * 0.5 * (1.0 + ops.cos(math.pi * progress))


@keras.saving.register_keras_serializable("keras_cdd")
class WarmupMultiStep(_EpochSchedule):
    """Warm-up, then `base` multiplied by `gamma` at every milestone.

    Args:
        base, steps_per_epoch, warmup_epochs, warmup_factor, warmup: see `WarmupCosine`.
        milestones: epochs, counted from 0, from which on the factor applies.
        gamma: factor per milestone. Default: 0.1.

    Raises:
        ValueError: if `warmup` is unknown or `steps_per_epoch` is below 1.
    """

    def __init__(
        self,
        base,
        milestones,
        steps_per_epoch,
        gamma=0.1,
        warmup_epochs=0,
        warmup_factor=0.1,
        warmup="linear",
    ):
        rest = {"milestones": list(milestones), "gamma": gamma}
        super().__init__(base, steps_per_epoch, warmup_epochs, warmup_factor, warmup, **rest)

    def after_warmup(self, epoch):
        """The rate in an epoch after the warm-up."""
        passed = sum(ops.cast(epoch >= milestone, "float32") for milestone in self.rest["milestones"])
        return self.base * self.rest["gamma"] ** ops.cast(passed, "float32")
