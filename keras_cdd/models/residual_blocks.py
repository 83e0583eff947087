"""Finds residual blocks of stock layers in a graph, and the reasons why a block cannot be gated."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import keras

from keras_cdd.annotations import Tensor
from keras_cdd.layers import FusedBatchNormalization, GatedBasicBlock, GatedBlock, GatedBottleneck
from keras_cdd.models.call import Call
from keras_cdd.models.graph import Graph

L = keras.layers
Unit = tuple[Call, Call]  # A convolution and its BatchNorm.
_NO_CHAIN = "not the sum of two or three times convolution-BatchNormalization, ReLUs between, and of a shortcut"


@dataclasses.dataclass(frozen=True)
class ResidualBlock:
    """`conv-BN-ReLU, ..., conv-BN, + shortcut, ReLU` in a graph.

    Attributes:
        units: the convolutions with their BatchNorms, in order.
        relus: the ReLUs between the units.
        shortcut: convolution and BatchNorm of the shortcut; None for an identity shortcut.
        add, end: the sum, and the ReLU after it.
    """

    units: tuple[Unit, ...]
    relus: tuple[Call, ...]
    shortcut: Unit | None
    add: Call
    end: Call

    @property
    def kind(self) -> type[GatedBlock]:
        return GatedBottleneck if len(self.units) == 3 else GatedBasicBlock

    @property
    def all_units(self) -> tuple[Unit, ...]:
        """The units, followed by the shortcut if it is a convolution."""
        return self.units if self.shortcut is None else (*self.units, self.shortcut)

    @property
    def inside(self) -> list[Call]:
        """All calls except `end`."""
        return [*self.relus, *(call for unit in self.all_units for call in unit), self.add]

    @property
    def strides(self) -> list[int]:
        return [conv.operation.strides[0] for conv, _ in self.units]


def residual_blocks(graph: Graph) -> tuple[list[ResidualBlock], dict[str, str]]:
    """Finds the residual blocks that a gated block computes exactly.

    Returns:
        `(blocks, reasons)`: list of `ResidualBlock`s, and dict name of every other `Add` layer -> reason.
    """
    blocks, reasons = [], {}
    for add in graph.calls:
        if not isinstance(add.operation, L.Add):
            continue
        block = _match(graph, add)
        if block is None:
            reasons[add.operation.name] = _NO_CHAIN
        elif (reason := next(_obstacles(graph, block), None)) is not None:
            reasons[add.operation.name] = reason
        else:
            blocks.append(block)
    return blocks, reasons


def _match(graph: Graph, add: Call) -> ResidualBlock | None:
    """The block that ends with an `Add`, judged only by the types of its layers, or None."""
    end = graph.only_taker(add)
    if end is None or not _is_relu(end.operation) or len(add.inputs) != 2:
        return None
    for main, side in (add.inputs, add.inputs[::-1]):
        units, relus = _chain(graph, main)
        projection = _chain(graph, side)[0][-1:]
        for count in (3, 2):
            if len(units) < count:
                continue
            start = units[-count][0].input
            if start is side:
                return ResidualBlock(units[-count:], relus[1 - count :], None, add, end)
            if projection and projection[0][0].input is start:
                return ResidualBlock(units[-count:], relus[1 - count :], projection[0], add, end)
    return None


def _chain(graph: Graph, tensor: Tensor) -> tuple[tuple[Unit, ...], tuple[Call, ...]]:
    """Walks back over at most three `conv-BN` with ReLUs between them; returns (units, ReLUs) in graph order."""
    units: list[Unit] = []
    relus: list[Call] = []
    while len(units) < 3:
        relu = graph.producer(tensor) if units else None
        if units and (relu is None or not _is_relu(relu.operation)):
            break
        bn = graph.producer(tensor if relu is None else relu.input)
        if bn is None or not isinstance(bn.operation, L.BatchNormalization) or len(bn.inputs) != 1:
            break
        conv = graph.producer(bn.input)
        if conv is None or not isinstance(conv.operation, L.Conv2D) or len(conv.inputs) != 1:
            break
        units.insert(0, (conv, bn))
        relus = ([] if relu is None else [relu]) + relus
        tensor = conv.input
    return tuple(units), tuple(relus)


def _obstacles(graph: Graph, block: ResidualBlock) -> Iterator[str]:
    """Yields every reason why a gated block would not compute or not train exactly like this one."""
    for conv, bn in block.all_units:
        yield from (f"{conv.operation.name} {words}" for words in _of_convolution(conv.operation))
        yield from (f"{bn.operation.name} {words}" for words in _of_batch_norm(bn.operation))
    yield from _of_geometry(block)
    for call in block.inside:
        if graph.only_taker(call) is None:
            yield f"what {call.operation.name} gives is used outside of the block"
    for conv, bn in block.all_units:
        yield from (f"{c.operation.name} is used more than once" for c in (conv, bn) if not graph.is_called_once(c))
    norms = [bn for _, bn in block.all_units]
    for name in ("epsilon", "momentum"):
        if len({getattr(bn.operation, name) for bn in norms}) > 1:
            yield f"its BatchNormalizations differ in {name}"
    if len({bn.kwargs.get("training") for bn in norms}) > 1:
        yield "its BatchNormalizations are called with different values of training"
    layers = [call.operation for call in (*block.inside, block.end)]
    if len({layer.dtype_policy.name for layer in layers}) > 1:
        yield "its layers differ in dtype"
    if layers[0].compute_dtype == "float64":
        yield "its layers compute in float64"
    if len({layer.trainable for layer in layers if layer.weights}) > 1:
        yield "some of its layers are frozen, others are not"


def _of_convolution(conv: keras.layers.Conv2D) -> Iterator[str]:
    if type(conv) is not L.Conv2D:
        yield f"is a {type(conv).__name__}"
    if conv.data_format != "channels_last":
        yield "has its channels first"
    if conv.groups > 1:
        yield f"has {conv.groups} groups"
    if conv.activation is not keras.activations.linear:
        yield "has an activation before the BatchNormalization"
    if max(conv.kernel_size) > 1 and max(conv.dilation_rate) > 1:
        yield "is dilated"
    if len(set(conv.strides)) > 1:
        yield f"has strides {conv.strides}"
    elif max(conv.kernel_size) > 1 and conv.strides[0] > 1:
        # With a stride, a gated block pads all sides, as PyTorch does.
        yield "has a stride and pads on one side only, or not at all"
    elif max(conv.kernel_size) > 1 and conv.padding != "same":
        yield "does not pad"
    yield from _of_weights(conv, ("kernel", "bias"))


def _of_batch_norm(bn: keras.layers.BatchNormalization) -> Iterator[str]:
    if type(bn) not in (L.BatchNormalization, FusedBatchNormalization) or bn.synchronized:
        yield "is another kind of BatchNormalization"
    if bn.axis not in (-1, 3):
        yield f"normalizes axis {bn.axis}"
    yield from _of_weights(bn, ("gamma", "beta"))


def _of_weights(layer: keras.layers.Layer, names: tuple[str, ...]) -> Iterator[str]:
    if any(getattr(layer, f"{name}_{kind}") for name in names for kind in ("regularizer", "constraint")):
        yield "has a regularizer or a constraint"


def _of_geometry(block: ResidualBlock) -> Iterator[str]:
    convs, shapes = [conv.operation for conv, _ in block.units], [x.shape for x in block.add.inputs]
    sizes = [conv.kernel_size for conv in convs]
    if sizes != [(size, size) for size in block.kind.GEOMETRY.values()]:
        yield f"its convolutions have kernels of {', '.join(f'{h}x{w}' for h, w in sizes)}"
    inner, outer = {conv.filters for conv in convs[:-1]}, convs[-1].filters
    if len(inner) > 1 or outer != block.kind.EXPANSION * min(inner):
        widths = ", ".join(str(conv.filters) for conv in convs)
        yield f"its widths are {widths}, and {block.kind.__name__} takes n inside, {block.kind.EXPANSION}n outside"
    if shapes[0] != shapes[1]:
        yield f"it adds tensors of shapes {shapes[0]} and {shapes[1]}"
    if sum(stride > 1 for stride in block.strides) > 1:
        yield "two of its convolutions have strides"
    stride, start = max(block.strides), block.units[0][0].input.shape
    if block.shortcut is None:
        return
    projection: Any = block.shortcut[0].operation
    if projection.kernel_size != (1, 1) or projection.strides[0] != stride:
        yield "its shortcut is not a 1x1 convolution with the block's stride"
    if stride == 1 and start[-1] == outer:
        yield "its shortcut is a convolution though it changes neither size nor width"


def _is_relu(layer: Any) -> bool:
    if type(layer) is L.Activation:
        return layer.activation is keras.activations.relu
    return type(layer) is L.ReLU and layer.max_value is None and not layer.negative_slope and not layer.threshold
