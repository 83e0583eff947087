"""Cutting without rebuilding: channels become exact zeros, and zeros stay zero."""

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
    """Sets what the plan removes to zero in place, in the indicators and in the optimizer's slots of them.

    A later `rebuild` takes the zeros away without changing any output. This lets a run cut often and rebuild rarely.

    Args:
        model, plan: see `rebuild`.
        optimizer: its optimizer; its slots are silenced too, or momentum would wake the channels.
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
    """Site -> bool (inputs, outputs): the entries of the indicator that a plan leaves.

    Args:
        model, plan: see `rebuild`.
        whole_filters: the rows of the filters whose own channel leaves go too, so that the convolution before the
            indicator slims as well. False takes outputs only, as the paper does.
    """
    entries = {}
    for site, unit in gated_units(model).items():
        indicator, cut = unit.indicator, plan.cuts[site]
        kept = [indicator.output_channels[i] for i in cut.outputs]
        outputs, inputs = np.isin(indicator.output_channels, kept), np.isin(indicator.input_channels, kept)
        entries[site] = outputs & (inputs[:, None] if whole_filters else np.ones_like(inputs)[:, None])
    return entries
