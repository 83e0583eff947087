"""Parameters and multiply-adds, counted as the field states them: conv and dense layers of the deployed form."""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import keras

from keras_cdd.layers import GatedBlock
from keras_cdd.models.call import Call
from keras_cdd.models.folding import Folding, foldings
from keras_cdd.models.graph import Graph, embedding_graph, graph_of
from keras_cdd.models.multiply_adds import multiply_adds
from keras_cdd.models.terms import ONE, Term, Width, simplified

if TYPE_CHECKING:
    from keras_cdd.models.sites import Sites

STATISTICS = ("moving_mean", "moving_variance", "seed_generator_state")
KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel")


@dataclasses.dataclass(frozen=True)
class CostModel:
    """What a network costs, as a function of the widths that surgery may change.

    Attributes:
        macs_terms, params_terms: whose sums are the MACs and the parameters.
        widths: site -> channels kept now.
        full_widths: site -> channels of the uncut network.
    """

    macs_terms: tuple[Term, ...]
    params_terms: tuple[Term, ...]
    widths: dict[str, int]
    full_widths: dict[str, int]

    def params(self, widths: Mapping[str, int] | None = None) -> int:
        return sum(term(widths or self.widths) for term in self.params_terms)

    def macs(self, widths: Mapping[str, int] | None = None) -> int:
        return sum(term(widths or self.widths) for term in self.macs_terms)

    def cost_at(self, site: str, widths: Mapping[str, int] | None = None) -> tuple[int, int]:
        """(MACs, parameters) of all layers that make or read a site's channels."""
        macs, params = self._terms_of[site]
        return sum(term(widths or self.widths) for term in macs), sum(term(widths or self.widths) for term in params)

    def of_one_channel(self, site: str) -> tuple[int, int]:
        """(MACs, parameters) that one channel less at a site saves now."""
        now, less = (self.cost_at(site, {**self.widths, site: self.widths[site] - gone}) for gone in (0, 1))
        return now[0] - less[0], now[1] - less[1]

    @functools.cached_property
    def _terms_of(self) -> dict[str, tuple[list[Term], list[Term]]]:
        found: dict[str, tuple[list[Term], list[Term]]] = {site: ([], []) for site in self.widths}
        for measure, terms in enumerate((self.macs_terms, self.params_terms)):
            for term in terms:
                for site in term.sites:
                    found[site][measure].append(term)
        return found


def cost_model(model: keras.Model, classifier: bool = False, sites: "Sites | None" = None) -> CostModel:
    """The `CostModel` of a functional Keras model or built `Sequential` in deployed form.

    A convolution counts with one bias a channel in place of its BatchNorm, an indicator that folds into the convolution
    before it with none at all. A layer that is called twice has its parameters once and its multiply-adds twice. If the
    model's outputs are a dict with an `embedding`, only what leads there counts, unless `classifier` is True.

    Args:
        model: stays untouched.
        classifier: see above.
        sites: the model's `Sites`, whose widths the costs shall depend on. Default: those of the gated blocks.

    Raises:
        ValueError: for an open image size, or a model without a graph.
    """
    return graph_costs(_counted(model, classifier), sites)


def graph_costs(graph: Graph, sites: "Sites | None" = None) -> CostModel:
    """The `CostModel` of everything in a graph; see `cost_model`."""
    counting = _Counting(graph, sites)
    return CostModel(simplified(counting.macs), simplified(counting.params), counting.widths, counting.full_widths)


class _Counting:
    """Collects the terms of a graph."""

    def __init__(self, graph: Graph, sites: "Sites | None") -> None:
        self._sites = sites
        self.macs: list[Term] = []
        self.params: list[Term] = []
        self.widths = {} if sites is None else {name: site.channels for name, site in sites.items()}
        self.full_widths = {} if sites is None else {name: site.full_channels for name, site in sites.items()}
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

    def _layer(self, call: Call, folding: Folding | None, is_new: bool) -> None:
        layer = call.operation
        outputs = None if folding is None or folding.indicator is None else folding.indicator.kernel
        if macs := multiply_adds(call):
            kernels = [getattr(layer, name) for name in KERNELS if getattr(layer, name, None) is not None]
            positions = macs // sum(_size(kernel) for kernel in kernels)
            self.macs += [self._term(kernel, outputs, positions) for kernel in kernels]
        if not is_new:
            return
        weights = [weight for weight in layer.weights if weight.name not in STATISTICS]
        if folding is None:
            self.params += [self._term(weight) for weight in weights]
            return
        kernels = [weight for weight in weights if weight is not layer.bias]
        self.params += [self._term(kernel, outputs) for kernel in kernels]
        if folding.bn is not None or layer.use_bias:
            shift = layer.bias if folding.bn is None else folding.bn.moving_mean
            self.params.append(Term(1, self._width(shift if outputs is None else outputs, -1)))

    def _term(self, weight: keras.Variable, outputs: keras.Variable | None = None, positions: int = 1) -> Term:
        """The elements of a weight, times positions; an indicator's `outputs` take the place of its last axis."""
        lengths = [self._width(weight, axis) for axis in range(len(weight.shape))]
        if outputs is not None:
            lengths[-1] = self._width(outputs, -1)
        factor, sides = positions, []
        for length in lengths:
            if length.sites:
                sides.append(length)
            else:
                factor *= length.constant
        left, right = (*sides, ONE, ONE)[:2]
        return Term(factor, left, right)

    def _width(self, weight: keras.Variable, axis: int) -> Width:
        return Width(weight.shape[axis]) if self._sites is None else self._sites.width(weight, axis)

    def _block(self, call: Call, is_new: bool) -> None:
        block = call.operation
        units = block.gated_units
        if self._sites is None:
            self.widths |= {site: unit.indicator.kept for site, unit in units.items()}
            self.full_widths |= dict.fromkeys(units, block.filters)

        def width(channels: int | str) -> Width:
            if not isinstance(channels, str):
                return Width(channels)
            return Width(0, ((channels, 1),)) if channels in self.widths else Width(units[channels].indicator.kept)

        for shape in block.conv_shapes(call.input.shape):
            inputs, outputs = width(shape.inputs), width(shape.outputs)
            self.macs.append(Term(shape.positions * shape.area, inputs, outputs))
            if is_new:
                self.params += [Term(shape.area, inputs, outputs), Term(1, outputs)]


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
    return sum(_size(weight) for weight in layer.weights if weight.name not in STATISTICS)


def _size(weight: keras.Variable) -> int:
    return math.prod(weight.shape)
