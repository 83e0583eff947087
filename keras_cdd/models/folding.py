"""Which BatchNorms and indicators fold into the convolution before them in the deployed form."""

import dataclasses

import keras

from keras_cdd.layers import ChannelIndicator, FusedBatchNormalization
from keras_cdd.models.call import Call
from keras_cdd.models.graph import Graph

L = keras.layers


@dataclasses.dataclass(frozen=True)
class Folding:
    """`conv (- BN) (- indicator)` of which only the convolution stays; at least one of the two is there."""

    conv: keras.layers.Conv2D
    bn: keras.layers.BatchNormalization | None
    indicator: ChannelIndicator | None

    @property
    def filters(self) -> int:
        """Output channels of the folded convolution."""
        return int(self.conv.filters if self.indicator is None else self.indicator.kernel.shape[-1])


def foldings(graph: Graph) -> tuple[dict[int, Folding], set[int]]:
    """What folds in a graph.

    Only layers that are called once fold, where nobody else sees what passes between them.

    Returns:
        `(found, folded)`: id of a convolution's call -> `Folding`, and ids of the calls that go.
    """
    found, folded = {}, set()
    for call in graph.calls:
        if type(call.operation) is not L.Conv2D or not _is_linear(call.operation) or not graph.is_called_once(call):
            continue
        last, bn, indicator = call, None, None
        if (after := _next(graph, last)) is not None and _is_batch_norm_of_channels(after):
            last, bn = after, after.operation
            folded.add(id(after))
        if (after := _next(graph, last)) is not None and _mixes_channels_of(after, call.operation):
            indicator = after.operation
            folded.add(id(after))
        if bn is not None or indicator is not None:
            found[id(call)] = Folding(call.operation, bn, indicator)
    return found, folded


def _next(graph: Graph, call: Call) -> Call | None:
    """The only taker of a call if it takes nothing else and its layer is called nowhere else, or None."""
    taker = graph.only_taker(call)
    return taker if taker is not None and graph.is_called_once(taker) and len(taker.inputs) == 1 else None


def _is_linear(conv: keras.layers.Conv2D) -> bool:
    return conv.activation is keras.activations.linear and conv.data_format == "channels_last"


def _is_batch_norm_of_channels(call: Call) -> bool:
    bn = call.operation
    if type(bn) not in (L.BatchNormalization, FusedBatchNormalization) or call.kwargs.get("training"):
        return False
    return bn.axis in (-1, len(call.input.shape) - 1)


def _mixes_channels_of(call: Call, conv: keras.layers.Conv2D) -> bool:
    return type(call.operation) is ChannelIndicator and conv.groups == 1
