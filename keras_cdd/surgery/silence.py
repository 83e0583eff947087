"""Cuts without rebuilding: sets channels to exact zeros, which stay zero."""

import keras
import numpy as np

from keras_cdd.models.gated_units import gated_units
from keras_cdd.surgery.plan import SurgeryPlan
from keras_cdd.surgery.rebuild import named_slots


def silence(
    model: keras.Model,
    plan: SurgeryPlan,
    optimizer: keras.optimizers.Optimizer | None = None,
    whole_filters: bool = True,
) -> None:
    """Sets the indicator entries that a plan removes to zero, in place.

    A later `rebuild` removes the zeros without changing any output, so that a run can cut often and rebuild rarely.

    Args:
        model: gated model.
        plan: its `SurgeryPlan`.
        optimizer: the model's optimizer, or None. Its slots of the entries are set to zero too, because momentum would
            otherwise move them away from zero.
        whole_filters: see `staying_entries`.
    """
    slots, owners = named_slots(optimizer, model.trainable_variables) if optimizer is not None else ({}, {})
    units = gated_units(model)
    for site, staying in staying_entries(model, plan, whole_filters).items():
        kernel = units[site].indicator.kernel
        for variable in [kernel, *(slots[name] for name, path in owners.items() if path == kernel.path)]:
            if variable.shape == kernel.shape:
                variable.assign(variable * keras.ops.cast(staying[None, None], variable.dtype))


def staying_entries(model: keras.Model, plan: SurgeryPlan, whole_filters: bool = True) -> dict[str, np.ndarray]:
    """Site -> bool (inputs, outputs): True for the entries of the indicators that a plan keeps.

    Args:
        model: gated model.
        plan: its `SurgeryPlan`.
        whole_filters: True (the default) also removes the rows of the filters with the same channel index as a removed
            output, so that the convolution before the indicator gets slimmer too. False removes only outputs, as in the
            paper.
    """
    entries = {}
    for site, unit in gated_units(model).items():
        indicator, cut = unit.indicator, plan.cuts[site]
        kept = [indicator.output_channels[i] for i in cut.outputs]
        outputs, inputs = np.isin(indicator.output_channels, kept), np.isin(indicator.input_channels, kept)
        entries[site] = outputs & (inputs[:, None] if whole_filters else np.ones_like(inputs)[:, None])
    return entries
