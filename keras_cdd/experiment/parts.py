"""Makes the loss weights and the parts of training that the settings describe."""

import dataclasses

from keras_cdd.distill import ChannelFade, CompressionRule, EmbeddingQueue, FisherScore, GradientReset
from keras_cdd.distill.effects import Effects
from keras_cdd.errors import UserError
from keras_cdd.experiment.common_ground import reset_widths
from keras_cdd.losses import LOSSES, LossWeights
from keras_cdd.surgery.importance import IMPORTANCES


def loss_weights(config):
    """The `LossWeights` of a `DistillConfig`; a negative margin becomes None (soft margin)."""
    names = {field.name for field in dataclasses.fields(LossWeights)} - LOSSES.keys()
    constants = {name: getattr(config, name) for name in names}
    constants["margin"] = config.margin if config.margin >= 0 else None
    return LossWeights(**{name: getattr(config, f"{name}_weight") for name in LOSSES}, **constants)


def make_parts(config, sites, teacher, steps_per_epoch):
    """Makes the parts of a shrinking student's training; a surgery cuts them, and adds and removes none.

    Args:
        config: `Config`.
        sites: `Sites` of the student, cut or not.
        teacher: its teacher.
        steps_per_epoch: optimizer steps per epoch.

    Returns:
        List of `Part`s in the order in which they act.
    """
    compression, parts = config.compression, []
    if compression.gradient_reset_epoch >= 0:
        parts.append(_reset(compression, sites, teacher, steps_per_epoch))
    if compression.compression != "none":
        parts.append(CompressionRule(compression.compression, compression.compression_weight))
    if config.has_budget and IMPORTANCES[config.surgery.importance].gathered_by == FisherScore.name:
        _require_gates(sites)
        parts.append(FisherScore({name: site.channels for name, site in sites.items()}))
    held = Effects.of_sites(sites).held_by_readers()
    if config.has_budget and (config.surgery.fade or held):
        kernels = sites.kernels()
        shapes = {name: kernels[name].shape if name in kernels else (1, sites[name].channels) for name in sites}
        parts.append(ChannelFade(shapes, held))
    return parts


def _require_gates(sites):
    """Refuses sites whose channels only layers with several inputs read, since gates stand on single inputs."""
    blind = [name for name, site in sites.items() if site.indicator is None and not site.readings]
    if blind:
        raise UserError(f"The Fisher score cannot be taken at {blind[0]}: what reads it has several inputs; use norms.")


def _reset(config, sites, teacher, steps_per_epoch):
    widths = reset_widths(sites, teacher)
    return GradientReset(
        EmbeddingQueue(config.queue_size, widths, config.queue_dtype),
        {name: sites.indicator(name).output_channels for name in widths},
        config.reset_ratio,
        config.reset_neighbours,
        config.reset_metric,
        first_step=round(config.gradient_reset_epoch * steps_per_epoch),
        every=config.reset_every,
    )
