"""Cuts without rebuilding: sets channels to exact zeros, which stay zero."""

from collections.abc import Iterator

import keras
import numpy as np

from keras_cdd.models.sites import Sites
from keras_cdd.surgery.optimizer_slots import slots
from keras_cdd.surgery.plan import SurgeryPlan
from keras_cdd.surgery.planned_sites import planned_sites
from keras_cdd.surgery.slicing import removed_positions


def silence(
    model: keras.Model,
    plan: SurgeryPlan,
    optimizer: keras.optimizers.Optimizer | None = None,
    whole_filters: bool = True,
) -> None:
    """Sets what a plan removes to zero, in place.

    Where a site has an indicator, its entries become zero; `plan_surgery(model)` finds the zeros later, so that a run
    can cut often and rebuild rarely. Without one, the weights that read the channels become zero. A later `rebuild` of
    the same plan removes the zeros without changing any output.

    Args:
        model: functional Keras model.
        plan: its `SurgeryPlan`.
        optimizer: the model's optimizer, or None. Its slots of the entries are set to zero too, because momentum would
            otherwise move them away from zero.
        whole_filters: see `staying_entries`; for indicators only.

    Raises:
        ValueError: if the plan is of another model, or of this one before a surgery.
    """
    remembered: dict[int, list[keras.Variable]] = {}
    if optimizer is not None:
        for _, slot, weight, _ in slots(optimizer, model.trainable_variables):
            remembered.setdefault(id(weight), []).append(slot)
    for weight, stays in _staying(model, plan, whole_filters):
        for variable in [weight, *remembered.get(id(weight), ())]:
            if variable.shape == weight.shape:
                variable.assign(variable * keras.ops.cast(stays, variable.dtype))


def _staying(model: keras.Model, plan: SurgeryPlan, whole_filters: bool) -> Iterator[tuple[keras.Variable, np.ndarray]]:
    """Weights and, in a shape that they can be multiplied with, False for what is to be zero."""
    found = planned_sites(model, plan)
    entries = staying_entries(found, plan, whole_filters)
    for name, site in found.items():
        for slot in site.effects:
            weight = found.variables[slot.path]
            if slot.path == site.indicator:
                yield weight, entries[name][None, None]
                continue
            stays = np.ones([n if axis == slot.axis else 1 for axis, n in enumerate(weight.shape)], bool)
            np.moveaxis(stays, slot.axis, 0)[removed_positions(slot.positions, plan.cuts[name].outputs)] = False
            yield weight, stays


def staying_entries(found: Sites, plan: SurgeryPlan, whole_filters: bool = True) -> dict[str, np.ndarray]:
    """Site -> bool (rows, channels): True for the entries of the indicators that a plan keeps.

    A site without a dense indicator has one row, an entry a channel.

    Args:
        found: the model's `Sites`.
        plan: its `SurgeryPlan`.
        whole_filters: True (the default) also removes the rows of the filters with the same channel index as a removed
            output, so that the convolution before the indicator gets slimmer too. False removes only outputs, as in the
            paper.
    """
    entries = {}
    for name, cut in plan.cuts.items():
        outputs = np.isin(np.arange(cut.channels), cut.outputs)
        entries[name] = outputs[None]
        if found[name].input_slots:
            indicator = found.indicator(name)
            kept = [indicator.output_channels[i] for i in cut.outputs]
            inputs = np.isin(indicator.input_channels, kept) if whole_filters else np.True_
            entries[name] = outputs & np.broadcast_to(inputs, len(indicator.input_channels))[:, None]
    return entries
