"""Cutting without rebuilding: channels become exact zeros, and zeros stay zero."""

import keras
import numpy as np

from keras_cdd.surgery.plan import SurgeryPlan
from keras_cdd.surgery.rebuild import named_slots
from keras_cdd.surgery.sites import gated_units


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
        whole_filters: also zero the rows of the filters whose own channel leaves, so that the convolution before the
            indicator slims as well. False cuts outputs only, as the paper does.
    """
    slots, owners = named_slots(optimizer, model.trainable_variables) if optimizer is not None else ({}, {})
    for site, unit in gated_units(model).items():
        indicator, cut = unit.indicator, plan.cuts[site]
        outputs = np.zeros(indicator.kept, bool)
        outputs[cut.outputs] = True
        alive = np.broadcast_to(outputs, (len(indicator.input_channels), indicator.kept))
        if whole_filters:
            kept = {indicator.output_channels[i] for i in cut.outputs}
            alive = alive & np.array([channel in kept for channel in indicator.input_channels])[:, None]
        for variable in [indicator.kernel, *(slots[n] for n, path in owners.items() if path == indicator.kernel.path)]:
            if variable.shape == indicator.kernel.shape:
                variable.assign(variable * keras.ops.cast(alive[None, None], variable.dtype))
