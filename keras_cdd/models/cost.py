"""Counts parameters and MACs as papers state them: convolutions and dense layers of the deployed form."""

import dataclasses
from collections.abc import Mapping

import keras

from keras_cdd.layers import ConvShape, GatedBlock
from keras_cdd.models.call import Call
from keras_cdd.models.folding import foldings
from keras_cdd.models.graph import Graph, embedding_graph, graph_of
from keras_cdd.models.multiply_adds import multiply_adds

STATISTICS = ("moving_mean", "moving_variance", "seed_generator_state")


@dataclasses.dataclass(frozen=True)
class CostModel:
    """The cost of a network as a function of the widths that surgery can change.

    Attributes:
        fixed_params, fixed_macs: parameters and MACs of everything outside the gated blocks.
        shapes: tuple of the `ConvShape`s of the gated blocks.
        widths: site -> number of channels now.
        full_widths: site -> number of channels in the uncut network.
    """

    fixed_params: int
    fixed_macs: int
    shapes: tuple[ConvShape, ...]
    widths: dict[str, int]
    full_widths: dict[str, int]

    def params(self, widths: Mapping[str, int] | None = None) -> int:
        return self.fixed_params + sum(shape.params(widths or self.widths) for shape in self.shapes)

    def macs(self, widths: Mapping[str, int] | None = None) -> int:
        return self.fixed_macs + sum(shape.macs(widths or self.widths) for shape in self.shapes)


def cost_model(model: keras.Model, classifier: bool = False) -> CostModel:
    """The `CostModel` of a model in deployed form.

    BatchNorms and indicators are counted as folded into their convolution or dense layer, see `keras_cdd.fuse`: such a
    layer has one bias per output channel, and the widths of the folded indicators. A layer that is called twice counts
    its parameters once and its MACs twice.

    Args:
        model: functional Keras model or built `Sequential`.
        classifier: if the outputs are a dict with an `embedding`, False (the default) counts only the layers that the
            embedding depends on; True counts all layers.

    Raises:
        ValueError: if an image size is open, or if the model has no graph.
    """
    graph = _counted(model, classifier)
    found, folded = foldings(graph)
    fixed_macs = 0
    params: dict[int, int] = {}
    blocks: dict[GatedBlock, list[list[ConvShape]]] = {}
    for call in graph.calls:
        layer = call.operation
        if isinstance(layer, GatedBlock):
            blocks.setdefault(layer, []).append(layer.conv_shapes(call.input.shape))
        elif id(call) in found:
            fixed_macs += multiply_adds(call, found[id(call)].kernel_size)
            params[id(layer)] = found[id(call)].params
        elif id(call) not in folded and isinstance(layer, keras.layers.Layer):
            fixed_macs += multiply_adds(call)
            params[id(layer)] = _num_params(layer)
    units = {site: (unit, block) for block in blocks for site, unit in block.gated_units.items()}
    return CostModel(
        fixed_params=sum(params.values()),
        fixed_macs=fixed_macs,
        shapes=tuple(shape for calls in blocks.values() for shape in _of_all_calls(calls)),
        widths={site: unit.indicator.kept for site, (unit, _) in units.items()},
        full_widths={site: block.filters for site, (_, block) in units.items()},
    )


def count_macs(model: keras.Model, deployed: bool = True, classifier: bool = False) -> int:
    """Counts the MACs of one image in convolutions, dense layers and indicators.

    Args:
        model: functional Keras model, or built `Sequential`, with a fixed image size.
        deployed: True (the default) counts the fused form; False counts the training form with its indicators.
        classifier: True also counts layers that only `logits` depends on; False by default.

    Raises:
        ValueError: if an image size is open, or if the model has no graph.
    """
    if deployed:
        return cost_model(model, classifier).macs()
    calls = _counted(model, classifier).calls
    return sum(_block_macs(call) if isinstance(call.operation, GatedBlock) else multiply_adds(call) for call in calls)


def count_params(model: keras.Model, deployed: bool = True, classifier: bool = False) -> int:
    """Counts the parameters, trainable or frozen; of BatchNorm, only scale and shift.

    Args:
        model, deployed, classifier: as in `count_macs`.

    Raises:
        ValueError: if the model has no graph, or if an image size is open and `deployed` is True.
    """
    if deployed:
        return cost_model(model, classifier).params()
    operations = _counted(model, classifier).operations
    return sum(_num_params(operation) for operation in operations if isinstance(operation, keras.layers.Layer))


def _counted(model: keras.Model, classifier: bool) -> Graph:
    return graph_of(model) if classifier else embedding_graph(model)


def _of_all_calls(calls: list[list[ConvShape]]) -> list[ConvShape]:
    """The convolutions of a block, each with the positions of all calls of the block added up."""
    positions = (sum(shape.positions for shape in same) for same in zip(*calls, strict=True))
    return [dataclasses.replace(shape, positions=p) for shape, p in zip(calls[0], positions, strict=True)]


def _block_macs(call: Call) -> int:
    """MACs of a gated block in training, including the indicators and the filters that the indicators drop."""
    block = call.operation
    macs, widths = 0, {site: unit.indicator.kept for site, unit in block.gated_units.items()}
    units = [*block.inner, block.last, block.shortcut]
    for shape, unit in zip(block.conv_shapes(call.input.shape), units, strict=False):
        macs += shape.macs(widths)
        if unit.indicator is not None:
            inputs, outputs = unit.indicator.kernel.shape[2:]
            dropped = shape.area * unit.conv.kernel.shape[2] * (inputs - outputs)
            macs += shape.positions * (inputs * outputs + dropped)
    return macs


def _num_params(layer: keras.layers.Layer) -> int:
    return sum(int(keras.ops.size(weight)) for weight in layer.weights if weight.name not in STATISTICS)
