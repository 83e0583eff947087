"""Finds the BatchNorms and indicators that fold into a neighbouring convolution or dense layer when deployed."""

import dataclasses

import keras
import numpy as np

from keras_cdd.layers import ChannelIndicator, DiagonalIndicator, FusedBatchNormalization
from keras_cdd.models.call import Call
from keras_cdd.models.graph import Graph
from keras_cdd.models.kinds import CONVOLUTIONS, DEPTHWISE, SEPARABLE, TRANSPOSED
from keras_cdd.models.scaled_readers import scaled_readers

L = keras.layers
_HOSTS = (*CONVOLUTIONS, *TRANSPOSED, *DEPTHWISE, *SEPARABLE, L.Dense)
_INDICATORS = (ChannelIndicator, DiagonalIndicator)
_BATCH_NORMS = (L.BatchNormalization, FusedBatchNormalization)

Calls = tuple[Call, ...]  # All calls of one layer.


@dataclasses.dataclass(frozen=True)
class Folding:
    """A convolution or dense layer, and the calls that fold into its weights.

    Attributes:
        host: the call of the convolution or dense layer, which stays.
        before: the folded calls before it, in the order of the graph.
        after: the folded calls after it, in the order of the graph.
        scales: calls of diagonal indicators further ahead, with the number of the factor for every channel of the
            host's input, -1 for none.
    """

    host: Call
    before: tuple[Call, ...] = ()
    after: tuple[Call, ...] = ()
    scales: tuple[tuple[Call, np.ndarray], ...] = ()

    @property
    def mixing_kernel(self) -> keras.Variable:
        """The kernel whose widths folded indicators change; the pointwise one of a separable convolution."""
        layer = self.host.operation
        return layer.pointwise_kernel if type(layer) in SEPARABLE else layer.kernel

    @property
    def axes(self) -> tuple[int, int]:
        """The axes of its input and output channels."""
        return (-1, -2) if type(self.host.operation) in TRANSPOSED else (-2, -1)

    @property
    def is_depthwise(self) -> bool:
        return type(self.host.operation) in DEPTHWISE

    @property
    def inputs(self) -> keras.Variable | None:
        """Kernel (1, 1, inputs, outputs) of the folded indicator whose inputs the layer reads; None without one."""
        return next(iter(_mixing(self.before)), None)

    @property
    def outputs(self) -> keras.Variable | None:
        """Kernel of the folded indicator whose outputs the layer gives; None without one."""
        return next(iter(_mixing(self.after[::-1])), None)

    @property
    def has_bias(self) -> bool:
        """Whether the folded layer has a bias."""
        return self.host.operation.use_bias or any(map(_shifts, (*self.before, *self.after)))


def _mixing(calls: tuple[Call, ...]) -> list[keras.Variable]:
    return [call.operation.kernel for call in calls if type(call.operation) is ChannelIndicator]


def foldings(graph: Graph) -> tuple[dict[int, Folding], set[int]]:
    """Finds all foldings of a graph.

    BatchNorms, indicators and 1x1 depthwise convolutions fold into the layer before them if it is linear, otherwise
    into the layer after them. Layers fold only if nothing else uses the tensors between them, and of layers that are
    called several times, only those that stand side by side at every call. What is left of the diagonal indicators
    folds into all layers that read what they scale, see `scaled_readers`.

    Returns:
        `(found, folded)`: dict id of the call of a layer that stays -> `Folding`, and the set of ids of folded calls.
    """
    after: dict[int, tuple[Call, ...]] = {}
    before: dict[int, tuple[Call, ...]] = {}
    folded: set[int] = set()
    layers = [tuple(graph.calls_of(operation)) for operation in graph.operations]
    hosts = [calls for calls in layers if all(map(_is_host, calls))]
    # Scales (1x1 depthwise convolutions) come last: they may fold themselves, and host only what no other layer can.
    for group in ([calls for calls in hosts if not _is_scale(calls[0])], [c for c in hosts if _is_scale(c[0])]):
        for walk, found in ((_following, after), (_leading, before)):
            for calls in group:
                if id(calls[0]) not in folded:
                    chain = walk(graph, calls, folded)
                    found |= {id(call): tuple(each[i] for each in chain) for i, call in enumerate(calls)}
                    folded |= {id(call) for each in chain for call in each}
    flat = [call for calls in hosts for call in calls]
    scales = _scaled(graph, flat, folded)
    folding = (Folding(c, before.get(id(c), ()), after.get(id(c), ()), scales.get(id(c), ())) for c in flat)
    return {id(f.host): f for f in folding if id(f.host) not in folded and (f.before or f.after or f.scales)}, folded


def _scaled(graph: Graph, hosts: list[Call], folded: set[int]) -> dict[int, tuple[tuple[Call, np.ndarray], ...]]:
    """Id of a host -> its `Folding.scales`; `folded` gets all calls of these."""
    able = {id(call) for call in hosts if id(call) not in folded and getattr(call.operation, "groups", 1) == 1}
    found: dict[int, tuple[tuple[Call, np.ndarray], ...]] = {}
    for layer in [layer for layer in graph.operations if type(layer) is DiagonalIndicator]:
        calls = graph.calls_of(layer)
        readers = [] if id(calls[0]) in folded else scaled_readers(graph, calls, able)
        if readers:
            folded |= set(map(id, calls))
        for reader, factors in readers:
            found[id(reader)] = (*found.get(id(reader), ()), (calls[0], factors))
    return found


def _following(graph: Graph, host: Calls, folded: set[int]) -> list[Calls]:
    chain = [host]
    while takers := _one_layer(graph, [graph.only_taker(call) for call in chain[-1]], folded):
        if not all(_is_affine(taker) and _folds_behind(graph, taker, host[0]) for taker in takers):
            break
        chain.append(takers)
    return chain[1:]


def _leading(graph: Graph, host: Calls, folded: set[int]) -> list[Calls]:
    chain = [host]
    while producers := _one_layer(graph, [_only_producer(graph, call) for call in chain[0]], folded):
        if not all(_is_affine(producer) and _folds_ahead(graph, producer, host[0]) for producer in producers):
            break
        chain.insert(0, producers)
    return chain[:-1]


def _one_layer(graph: Graph, calls: list[Call | None], folded: set[int]) -> Calls:
    """The calls, if they are all calls of one layer; else none."""
    there = [call for call in calls if call is not None and id(call) not in folded]
    if len(there) < len(calls) or len({id(call.operation) for call in there}) > 1:
        return ()
    return tuple(there) if len(graph.calls_of(there[0].operation)) == len(there) else ()


def _only_producer(graph: Graph, call: Call) -> Call | None:
    """What produces the input of a call for it alone."""
    producer = graph.producer(call.input)
    return producer if producer is not None and graph.only_taker(producer) is call else None


def _is_host(call: Call) -> bool:
    layer = call.operation
    if type(layer) not in _HOSTS or len(call.inputs) != 1:
        return False
    plain = not getattr(layer, "lora_enabled", False) and getattr(layer, "quantization_mode", None) is None
    return plain and getattr(layer, "data_format", "channels_last") == "channels_last"


def _is_affine(call: Call) -> bool:
    """Whether a call is an affine map of the channels, the same at every position."""
    if len(call.inputs) != 1 or "float" not in call.input.dtype:
        return False
    return _is_batch_norm_of_channels(call) or _is_scale(call) or type(call.operation) in _INDICATORS


def _is_batch_norm_of_channels(call: Call) -> bool:
    bn = call.operation
    if type(bn) not in _BATCH_NORMS or call.kwargs.get("training"):
        return False
    return bn.axis in (-1, len(call.input.shape) - 1)


def _is_scale(call: Call) -> bool:
    layer = call.operation
    if type(layer) not in DEPTHWISE or layer.data_format != "channels_last" or not _is_linear(layer):
        return False
    return layer.depth_multiplier == 1 and max(*layer.kernel_size, *layer.strides) == 1


def _shifts(call: Call) -> bool:
    """Whether a folded call adds a bias."""
    return type(call.operation) in _BATCH_NORMS or (_is_scale(call) and call.operation.use_bias)


def _folds_behind(graph: Graph, call: Call, host: Call) -> bool:
    layer = host.operation
    if not _is_linear(layer) or (type(layer) is L.Dense and _is_embedding(graph, call)):
        return False
    mixes = type(call.operation) is ChannelIndicator
    return not mixes or (type(layer) not in DEPTHWISE and getattr(layer, "groups", 1) == 1)


def _folds_ahead(graph: Graph, call: Call, host: Call) -> bool:
    layer, mixes = host.operation, type(call.operation) is ChannelIndicator
    if getattr(layer, "groups", 1) != 1 or (mixes and type(layer) in (*DEPTHWISE, *SEPARABLE)):
        return False
    return not _shifts(call) or (_sees_no_border(layer) and not _levels_pooled_features(graph, call))


def _is_linear(layer: keras.layers.Layer) -> bool:
    return layer.activation is keras.activations.linear


def _is_embedding(graph: Graph, call: Call) -> bool:
    # Not folded, because published counts include the last BatchNorm of the head, whose output is the embedding.
    return isinstance(graph.outputs, dict) and graph.outputs.get("embedding") is call.output


def _levels_pooled_features(graph: Graph, call: Call) -> bool:
    # In 8 bits, features of very different sizes must be scaled before the mean, see `export.conversion`.
    pooling = graph.producer(call.input)
    return pooling is not None and isinstance(pooling.operation, L.GlobalAveragePooling2D)


def _sees_no_border(layer: keras.layers.Layer) -> bool:
    """Whether a layer maps a constant feature map to a constant one, so that padding does not show."""
    if type(layer) is L.Dense:
        return True
    return type(layer) not in TRANSPOSED and (layer.padding == "valid" or max(layer.kernel_size) == 1)
