"""Surgery itself: a slim model, and an optimizer that goes on where the old one was."""

from collections.abc import Iterable, Mapping
from typing import overload

import keras
import numpy as np

from keras_cdd.layers import GatedBlock
from keras_cdd.models.gated_units import gated_blocks
from keras_cdd.surgery.plan import SurgeryPlan
from keras_cdd.surgery.slicing import slice_all

Cuts = list[tuple[int, np.ndarray]]  # (axis, positions that stay)


@overload
def rebuild(model: keras.Model, plan: SurgeryPlan, optimizer: None = None) -> keras.Model: ...
@overload
def rebuild(
    model: keras.Model, plan: SurgeryPlan, optimizer: keras.optimizers.Optimizer
) -> tuple[keras.Model, keras.optimizers.Optimizer]: ...
def rebuild(
    model: keras.Model, plan: SurgeryPlan, optimizer: keras.optimizers.Optimizer | None = None
) -> keras.Model | tuple[keras.Model, keras.optimizers.Optimizer]:
    """Makes the slim model of a plan; the inputs stay untouched.

    Every weight and every optimizer slot of the slim side is filled once from its source, or an error names what did
    not fit. Works for any functional Keras model with gated blocks.

    Args:
        model: functional Keras model.
        plan: `SurgeryPlan` made for it.
        optimizer: its optimizer, if its state shall be carried along (SGD, Adam, AdamW, ... or a `LossScaleOptimizer`
            around one); before its first step it has none.

    Returns:
        The slim model, or `(slim, slim_optimizer)`.

    Raises:
        ValueError: naming every weight or slot that does not fit.
    """
    slim = keras.models.clone_model(model, clone_function=lambda layer: _slim_layer(layer, plan), recursive=True)
    cuts = weight_cuts(model, plan)
    weights = {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}
    targets = {weight.path: weight.shape for weight in slim.weights}
    sliced = slice_all(weights, cuts, targets)
    for weight in slim.weights:
        weight.assign(sliced[weight.path])
    return slim if optimizer is None else (slim, slim_optimizer(optimizer, model, slim, cuts))


def _slim_layer(layer: keras.layers.Layer, plan: SurgeryPlan) -> keras.layers.Layer:
    if not isinstance(layer, GatedBlock):
        return layer.__class__.from_config(layer.get_config())
    kept = dict(layer.kept_channels)
    for site, unit in layer.gated_units.items():
        cut, indicator = plan.cuts[site], unit.indicator
        kept[unit.name] = {
            "inputs": [indicator.input_channels[i] for i in cut.inputs],
            "outputs": [indicator.output_channels[i] for i in cut.outputs],
        }
    return layer.__class__.from_config({**layer.get_config(), "kept_channels": kept, "kept_filters": None})


def weight_cuts(model: keras.Model, plan: SurgeryPlan) -> dict[str, Cuts]:
    """Weight path -> (axis, positions) pairs: everything that the plan's sites touch."""
    cuts: dict[str, Cuts] = {}
    for block in gated_blocks(model):
        for unit, after in zip(block.inner, [*block.inner[1:], block.last], strict=True):
            if unit.indicator is None:
                continue
            cut = plan.cuts[block.site(unit)]
            cuts[unit.conv.kernel.path] = cuts.get(unit.conv.kernel.path, []) + [(3, cut.inputs)]
            for vector in [*unit.conv.weights[1:], *unit.bn.weights]:
                cuts[vector.path] = [(0, cut.inputs)]
            cuts[unit.indicator.kernel.path] = [(2, cut.inputs), (3, cut.outputs)]
            cuts[after.conv.kernel.path] = [(2, cut.outputs)]
    return cuts


def slim_optimizer(
    optimizer: keras.optimizers.Optimizer, model: keras.Model, slim: keras.Model, cuts: Mapping[str, Cuts]
) -> keras.optimizers.Optimizer:
    """A new optimizer for the slim model with the old one's state, slots cut like the weights they belong to."""
    new = optimizer.__class__.from_config(optimizer.get_config())
    if not optimizer.built:
        return new
    new.build(slim.trainable_variables)
    old_slots, old_weights = named_slots(optimizer, model.trainable_variables)
    new_slots, _ = named_slots(new, slim.trainable_variables)
    sources = {name: keras.ops.convert_to_numpy(slot) for name, slot in old_slots.items()}
    slot_cuts = {name: cuts[path] for name, path in old_weights.items() if path in cuts and sources[name].ndim}
    sliced = slice_all(sources, slot_cuts, {name: slot.shape for name, slot in new_slots.items()})
    for name, slot in new_slots.items():
        slot.assign(sliced[name])
    return new


def named_slots(
    optimizer: keras.optimizers.Optimizer, trainable_variables: Iterable[keras.Variable]
) -> tuple[dict[str, keras.Variable], dict[str, str]]:
    """Optimizer variables by a name that survives surgery, and name -> path of the weight a slot belongs to.

    Slots are matched by name, never by position: Keras calls them `<weight path with _ for />_<slot>`.
    """
    prefixes = sorted(((v.path.replace("/", "_"), v.path) for v in trainable_variables), key=lambda p: -len(p[0]))
    named: dict[str, keras.Variable] = {}
    owners: dict[str, str] = {}
    inner = {id(slot) for slot in getattr(optimizer, "inner_optimizer", optimizer).variables}
    for slot in optimizer.variables:
        # The first part is the optimizer's own name, which differs from one instance to the next.
        name = slot.path.split("/", 1)[-1]
        name = name if id(slot) in inner else f"loss_scale:{name}"
        if name in named:
            raise ValueError(f"Optimizer slots need names of their own. Received: {name} twice")
        named[name] = slot
        owner = next((path for prefix, path in prefixes if name.startswith(prefix + "_")), None)
        if owner is not None:
            owners[name] = owner
    return named, owners
