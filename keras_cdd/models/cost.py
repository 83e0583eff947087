"""Counts parameters and MACs as papers state them: products with kernels in the deployed form; sums times."""

import math
from typing import TYPE_CHECKING

import keras

from keras_cdd.errors import UserError
from keras_cdd.layers import GatedBlock
from keras_cdd.layers.conv_unit import ConvUnit
from keras_cdd.models.call import Call
from keras_cdd.models.costs import CostModel
from keras_cdd.models.folding import Folding, foldings
from keras_cdd.models.graph import Graph, embedding_graph, graph_of
from keras_cdd.models.layer_shapes import LayerShape, LayerTimes, TimedLayer, layer_shape
from keras_cdd.models.multiply_adds import kernel_uses, multiply_adds, uncounted
from keras_cdd.models.terms import ONE, Term, Width, simplified
from keras_cdd.models.time_terms import time_terms

if TYPE_CHECKING:
    from keras_cdd.models.sites import Sites

STATISTICS = ("moving_mean", "moving_variance", "seed_generator_state")


def cost_model(model: keras.Model, classifier: bool = False, sites: "Sites | None" = None) -> CostModel:
    """The `CostModel` of a model in deployed form.

    BatchNorms and indicators are counted as folded into their convolution or dense layer, see `keras_cdd.fuse`: such a
    layer has one bias per output channel, and the widths of the folded indicators. A layer that is called twice counts
    its parameters once and its MACs twice.

    Args:
        model: functional Keras model or built `Sequential`.
        classifier: if the outputs are a dict with an `embedding`, False (the default) counts only the layers that the
            embedding depends on; True counts all layers.
        sites: the `Sites` of the model on whose widths the costs depend. Default: those of the gated blocks.

    Raises:
        ValueError: if an image size is open, or if the model has no graph.
    """
    return graph_costs(_counted(model, classifier), sites)


def graph_costs(graph: Graph, sites: "Sites | None" = None, times: LayerTimes | None = None) -> CostModel:
    """The `CostModel` of everything in a graph; see `cost_model`.

    With `times`, which measures layers, it has a time as well: the sum of those of all layers with kernels.

    Raises:
        UserError: if `times` is given and a layer is none that can be timed.
    """
    counting = _Counting(graph, sites)
    timed = [] if times is None else time_terms(counting.timed_layers(), counting.full_widths, times)
    return CostModel(
        macs_terms=simplified(counting.macs),
        params_terms=simplified(counting.params),
        widths=counting.widths,
        full_widths=counting.full_widths,
        uncounted=counting.uncounted,
        ms_terms=simplified(timed) if timed else (),
    )


class _Counting:
    """Collects the terms of a graph."""

    def __init__(self, graph: Graph, sites: "Sites | None") -> None:
        self._sites = sites
        # Without sites: (id of a weight, axis) -> the site inside a gated block whose channels are there.
        self._in_blocks: dict[tuple[int, int], str] = {}
        self.macs: list[Term] = []
        self.params: list[Term] = []
        # Layers, or the names of those that cannot be timed.
        self._timed: list[TimedLayer | str] = []
        self.widths = {} if sites is None else {name: site.channels for name, site in sites.items()}
        self.full_widths = {} if sites is None else {name: site.full_channels for name, site in sites.items()}
        self.uncounted: dict[str, str] = {}
        found, folded = foldings(graph)
        counted: set[int] = set()
        for call in graph.calls:
            layer = call.operation
            if not isinstance(layer, keras.layers.Layer) or id(call) in folded:
                continue
            is_new = id(layer) not in counted
            counted.add(id(layer))
            if isinstance(layer, GatedBlock):
                self._block(call, is_new)
            else:
                self._layer(call, found.get(id(call)), is_new)
                self.uncounted |= {graph.names[id(layer)]: type(inner).__name__ for inner in uncounted(call)}

    def timed_layers(self) -> list[TimedLayer]:
        """All layers with kernels.

        Raises:
            UserError: if one of them is no convolution or dense layer of the usual kind.
        """
        if strange := [name for name in self._timed if isinstance(name, str)]:
            raise UserError(
                "Only plain and depthwise 2D convolutions and dense layers can be timed; give a budget of MACs. "
                f"Received: {', '.join(strange)}"
            )
        return [layer for layer in self._timed if isinstance(layer, TimedLayer)]

    def _layer(self, call: Call, folding: Folding | None, is_new: bool) -> None:
        layer = call.operation
        for kernel, times in kernel_uses(call):
            self.macs.append(Term(times) if kernel is None else self._term(kernel, folding, times))
            shape = None if kernel is None else layer_shape(call, kernel)
            if kernel is None or shape is None:
                self._timed.append(f"{layer.name} ({type(layer).__name__})")
            else:
                *_, inputs, outputs = self._lengths(kernel, folding)
                self._timed.append(TimedLayer(shape, inputs, inputs if shape.is_depthwise else outputs))
        if not is_new:
            return
        weights = [weight for weight in layer.weights if weight.name not in STATISTICS]
        if folding is None:
            self.params += [self._term(weight) for weight in weights]
            return
        kernels = [weight for weight in weights if weight is not layer.bias]
        self.params += [self._term(kernel, folding) for kernel in kernels]
        if folding.has_bias:
            self.params.append(self._bias(kernels[-1], folding))

    def _term(self, weight: keras.Variable, folding: Folding | None = None, positions: int = 1) -> Term:
        """The elements of a weight, times positions, at the widths that folded indicators give it."""
        factor, sides = positions, []
        for length in self._lengths(weight, folding):
            if length.sites:
                sides.append(length)
            else:
                factor *= length.constant
        left, right = (*sides, ONE, ONE)[:2]
        return Term(factor, left, right)

    def _lengths(self, weight: keras.Variable, folding: Folding | None) -> list[Width]:
        """The length of every axis of a weight."""
        lengths = [self._width(weight, axis) for axis in range(len(weight.shape))]
        if folding is not None and weight is folding.mixing_kernel:
            into, out = folding.axes
            lengths[into] = lengths[into] if folding.inputs is None else self._width(folding.inputs, -2)
            lengths[out] = lengths[out] if folding.outputs is None else self._width(folding.outputs, -1)
        return lengths

    def _bias(self, kernel: keras.Variable, folding: Folding) -> Term:
        """The bias of a folded layer, an entry per output channel."""
        if folding.outputs is not None:
            return Term(1, self._width(folding.outputs, -1))
        if folding.is_depthwise:
            return Term(kernel.shape[-1], self._width(kernel, -2))
        return Term(1, self._width(kernel, folding.axes[1]))

    def _width(self, weight: keras.Variable, axis: int) -> Width:
        if self._sites is not None:
            return self._sites.width(weight, axis)
        site = self._in_blocks.get((id(weight), axis))
        return Width(weight.shape[axis]) if site is None else Width(0, ((site, 1),))

    def _block(self, call: Call, is_new: bool) -> None:
        block = call.operation
        if self._sites is None:
            self._note_sites_of(block)
        for shape, unit in zip(block.conv_shapes(call.input.shape), _units(block), strict=True):
            maker = unit.conv if unit.indicator is None else unit.indicator
            inputs, outputs = self._width(unit.conv.kernel, 2), self._width(maker.kernel, 3)
            self.macs.append(Term(shape.positions * shape.area, inputs, outputs))
            timed = LayerShape((shape.kernel,) * 2, (shape.stride,) * 2, shape.size)
            self._timed.append(TimedLayer(timed, inputs, outputs))
            if is_new:
                self.params += [Term(shape.area, inputs, outputs), Term(1, outputs)]

    def _note_sites_of(self, block: GatedBlock) -> None:
        for site, unit in block.gated_units.items():
            self.widths[site], self.full_widths[site] = unit.indicator.kept, block.filters
            reader = _units(block)[block.inner.index(unit) + 1]
            self._in_blocks |= {(id(unit.indicator.kernel), 3): site, (id(reader.conv.kernel), 2): site}


def count_macs(model: keras.Model, deployed: bool = True, classifier: bool = False) -> int:
    """Counts the MACs of one image in convolutions, dense layers, attention, recurrent layers and indicators.

    Layers whose MACs are not known count as 0; `print(keras_cdd.sites(model))` names them.

    Args:
        model: functional Keras model, or built `Sequential`, with a fixed image size or number of steps.
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


def _block_macs(call: Call) -> int:
    """MACs of a gated block in training, including the indicators and the filters that the indicators drop."""
    block = call.operation
    macs = 0
    for shape, unit in zip(block.conv_shapes(call.input.shape), _units(block), strict=True):
        macs += shape.macs
        if unit.indicator is not None:
            dropped = shape.area * unit.conv.kernel.shape[2] * (unit.filters - unit.indicator.kept)
            macs += shape.positions * (_size(unit.indicator.kernel) + dropped)
    return macs


def _units(block: GatedBlock) -> list[ConvUnit]:
    return [*block.inner, block.last, *([] if block.shortcut is None else [block.shortcut])]


def _num_params(layer: keras.layers.Layer) -> int:
    return sum(_size(weight) for weight in layer.weights if weight.name not in STATISTICS)


def _size(weight: keras.Variable) -> int:
    return math.prod(weight.shape)
