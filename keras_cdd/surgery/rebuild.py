"""Surgery itself: a slim model, and an optimizer that goes on where the old one was."""

from collections.abc import Mapping
from typing import Any, overload

import keras
import numpy as np

from keras_cdd.layers import GatedBlock
from keras_cdd.models.copies import Copies
from keras_cdd.models.sites import Field, Sites, own_paths
from keras_cdd.surgery.optimizer_slots import slim_optimizer
from keras_cdd.surgery.plan import SurgeryPlan
from keras_cdd.surgery.planned_sites import planned_sites
from keras_cdd.surgery.slicing import Cuts, removed_positions, slice_all, weight_cuts


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
    not fit. Layers stay what they are, with other widths. Models and composite layers inside the model are opened: the
    slim one holds their layers.

    Args:
        model: functional Keras model or built `Sequential`, gated or not.
        plan: `SurgeryPlan` made for it.
        optimizer: its optimizer, if its state shall be carried along: SGD, RMSprop, Adagrad, Adadelta, Adam, AdamW,
            Adamax, Nadam, Lion, Ftrl, or a `LossScaleOptimizer` around one; any other whose slots have the shapes of
            the weights. Before its first step it has none.

    Returns:
        The slim model, or `(slim, slim_optimizer)`.

    Raises:
        ValueError: if the plan is of another model, or of this one before a surgery; for an optimizer whose state
            cannot be cut, such as Adafactor; or naming every weight or slot that does not fit.
        UserError: for a model without a graph, or with a layer with weights that its config does not restore.
    """
    found = planned_sites(model, plan)
    copies = _SlimCopies(found, plan)
    slim = found.graph.replay(copies)
    if optimizer is None:
        return slim
    old = {id(weight): path for path, weight in found.variables.items()}
    return slim, slim_optimizer(optimizer, model, slim, copies.cuts, old | copies.paths)


class _SlimCopies(Copies):
    """Layers with what stays of their weights.

    Attributes:
        cuts: path of a weight -> (axis, positions) pairs.
        paths: id of a new weight -> path of the weight that it comes from.
    """

    def __init__(self, found: Sites, plan: SurgeryPlan) -> None:
        super().__init__(found.graph)
        self.cuts: Mapping[str, Cuts] = weight_cuts(found, plan)
        self.paths: dict[int, str] = {}
        self._plan = plan
        # Layer -> argument -> positions that go; those of several sites, where a concatenation is behind.
        self._fields: dict[str, dict[str, tuple[Field, list[int]]]] = {}
        for name, cut in plan.cuts.items():
            sides = ((found[name].fields, cut.outputs), (found[name].input_fields, cut.inputs))
            for field, kept in ((field, kept) for fields, kept in sides for field in fields):
                _, removed = self._fields.setdefault(field.layer, {}).setdefault(field.name, (field, []))
                removed += removed_positions(field.positions, kept).tolist()

    def copy_of(self, operation: keras.Operation, config: dict[str, Any]) -> keras.Operation:
        if isinstance(operation, GatedBlock):
            kept_channels = self._kept_channels(operation)
            config |= {"kept_channels": kept_channels, "kept_filters": None}
            # The input may become as wide as the output by accident.
            config["projection"] = operation.shortcut is not None
        for name, (field, removed) in self._fields.get(self.name(operation), {}).items():
            config[name] = _narrower(field, config[name], removed)
        return super().copy_of(operation, config)

    def _kept_channels(self, block: GatedBlock) -> dict[str, Any]:
        kept: dict[str, Any] = {name: dict(channels) for name, channels in block.kept_channels.items()}
        for unit in block.gated_units.values():
            cut, indicator = self._plan.cuts.get(f"{self.name(block)}/{unit.name}"), unit.indicator
            if cut is not None:
                kept[unit.name] = {
                    "inputs": [indicator.input_channels[i] for i in cut.inputs],
                    "outputs": [indicator.output_channels[i] for i in cut.outputs],
                }
        return kept

    def fill(self, copy: keras.layers.Layer, operation: keras.layers.Layer) -> None:
        name = self.name(operation)
        old, new = (
            {f"{name}/{path}": weight for path, weight in own_paths(layer).items()} for layer in (operation, copy)
        )
        cuts = {path: self.cuts[path] for path in old if path in self.cuts}
        arrays = {path: keras.ops.convert_to_numpy(weight) for path, weight in old.items()}
        sliced = slice_all(arrays, cuts, {path: weight.shape for path, weight in new.items()})
        for path, weight in new.items():
            weight.assign(sliced[path])
            self.paths[id(weight)] = path


def _narrower(field: Field, value: Any, removed: list[int]) -> Any:
    """An argument that states a width, without some channels."""
    if isinstance(value, int):
        return value - len(removed)
    if field.is_list:
        return np.delete(value, removed).tolist()
    return (*value[:-1], value[-1] - len(removed))
