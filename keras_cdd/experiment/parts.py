"""Makes the loss weights and the parts of training that the settings describe."""

import dataclasses

from keras_cdd.distill import ChannelFade, CompressionRule, EmbeddingQueue, FisherScore, GradientReset
from keras_cdd.losses import LOSSES, LossWeights
from keras_cdd.models.gated_units import gated_units, units_by_site
from keras_cdd.surgery.importance import IMPORTANCES


def loss_weights(config):
    """The `LossWeights` of a `DistillConfig`; a negative margin becomes None (soft margin)."""
    names = {field.name for field in dataclasses.fields(LossWeights)} - LOSSES.keys()
    constants = {name: getattr(config, name) for name in names}
    constants["margin"] = config.margin if config.margin >= 0 else None
    return LossWeights(**{name: getattr(config, f"{name}_weight") for name in LOSSES}, **constants)


def make_parts(config, student, teacher, steps_per_epoch):
    """Makes the parts of a shrinking student's training; they stay the same from the first to the last step.

    Args:
        config: `Config`.
        student: gated model, cut or not.
        teacher: its teacher.
        steps_per_epoch: optimizer steps per epoch.

    Returns:
        List of `Part`s in the order in which they act.
    """
    units = gated_units(student)
    compression, parts = config.compression, []
    if compression.gradient_reset_epoch >= 0:
        parts.append(_reset(compression, units, teacher, steps_per_epoch))
    if compression.compression != "none":
        parts.append(CompressionRule(compression.compression, compression.compression_weight))
    if config.has_budget and IMPORTANCES[config.surgery.importance].gathered_by == FisherScore.name:
        parts.append(FisherScore({site: unit.indicator.kept for site, unit in units.items()}))
    if config.has_budget and config.surgery.fade:
        parts.append(ChannelFade({site: tuple(unit.indicator.kernel.shape[2:]) for site, unit in units.items()}))
    return parts


def _reset(config, units, teacher, steps_per_epoch):
    widths = {site: unit.filters for site, unit in units_by_site(teacher).items() if site in units}
    return GradientReset(
        EmbeddingQueue(config.queue_size, widths),
        {site: unit.indicator.output_channels for site, unit in units.items()},
        config.reset_ratio,
        config.reset_neighbours,
        config.reset_metric,
        first_step=round(config.gradient_reset_epoch * steps_per_epoch),
        every=config.reset_every,
    )
