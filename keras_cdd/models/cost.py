"""Parameters and multiply-adds, counted as the field states them: conv and dense layers of the deployed form."""

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
    """What a network costs, as a function of the widths that surgery may change.

    Attributes:
        fixed_params, fixed_macs: of everything outside the gated blocks.
        shapes: the convolutions of the gated blocks.
        widths: site -> channels kept now.
        full_widths: site -> channels of the uncut network.
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
    """The `CostModel` of a functional Keras model or built `Sequential` in deployed form.

    A convolution or dense layer counts with one bias a channel in place of the BatchNorms that fold into it, with the
    widths of the indicators that do; see `keras_cdd.fuse`. A layer that is called twice has its parameters once and its
    multiply-adds twice. If the model's outputs are a dict with an `embedding`, only what leads there counts, unless
    `classifier` is True.

    Raises:
        ValueError: for an open image size, or a model without a graph.
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
    """Multiply-adds of one image through the convolutions and dense layers.

    Args:
        model: a functional Keras model, or a built `Sequential`, on a fixed image size.
        deployed: count the fused form; False counts the indicators too, as the training form computes them.
        classifier: also count what leads to `logits` only.

    Raises:
        ValueError: for an open image size, or a model without a graph.
    """
    if deployed:
        return cost_model(model, classifier).macs()
    calls = _counted(model, classifier).calls
    return sum(_block_macs(call) if isinstance(call.operation, GatedBlock) else multiply_adds(call) for call in calls)


def count_params(model: keras.Model, deployed: bool = True, classifier: bool = False) -> int:
    """Parameters, frozen or not; arguments as in `count_macs`. BatchNorm counts scale and shift, no statistics."""
    if deployed:
        return cost_model(model, classifier).params()
    operations = _counted(model, classifier).operations
    return sum(_num_params(operation) for operation in operations if isinstance(operation, keras.layers.Layer))


def _counted(model: keras.Model, classifier: bool) -> Graph:
    return graph_of(model) if classifier else embedding_graph(model)


def _of_all_calls(calls: list[list[ConvShape]]) -> list[ConvShape]:
    """A block's convolutions, each with the positions of all calls of the block."""
    positions = (sum(shape.positions for shape in same) for same in zip(*calls, strict=True))
    return [dataclasses.replace(shape, positions=p) for shape, p in zip(calls[0], positions, strict=True)]


def _block_macs(call: Call) -> int:
    """What a gated block computes in training, indicators and filters that only indicators drop included."""
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
