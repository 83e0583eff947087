"""Producers: layers that make channels, with what alone stands between them and an indicator."""

import keras

from keras_cdd.layers import ChannelIndicator, FusedBatchNormalization
from keras_cdd.models.call import Call
from keras_cdd.models.graph import Graph
from keras_cdd.models.kinds import CONVOLUTIONS, SEPARABLE, TRANSPOSED

PRODUCERS = (*CONVOLUTIONS, *TRANSPOSED, *SEPARABLE, keras.layers.Dense)


def is_linear(layer: keras.layers.Layer) -> bool:
    return layer.activation is keras.activations.linear


def is_batch_norm_of_channels(call: Call) -> bool:
    bn = call.operation
    if type(bn) not in (keras.layers.BatchNormalization, FusedBatchNormalization) or len(call.inputs) != 1:
        return False
    return bn.axis in (-1, len(call.input.shape) - 1)


def end_of_producer(graph: Graph, producer: Call) -> Call:
    """The BatchNorm that alone takes what a linear layer makes, else the layer itself."""
    taker = graph.only_taker(producer)
    return taker if taker is not None and is_batch_norm_of_channels(taker) else producer


def is_behind_its_producer(graph: Graph, indicator: ChannelIndicator) -> bool:
    """Whether an indicator alone takes what one layer makes, through nothing but its BatchNorm, at every call."""
    calls = graph.calls_of(indicator)
    chains = [_chain(graph, call) for call in calls]
    operations = {tuple(id(call.operation) for call in chain) for chain in chains}
    if len(operations) > 1 or not chains[0]:
        return False
    return all(len(graph.calls_of(call.operation)) == len(calls) for call in chains[0])


def _chain(graph: Graph, indicator: Call) -> list[Call]:
    """The producer and its BatchNorm, if there is one, in front of an indicator; empty if others take part."""
    chain = [indicator]
    while (before := graph.producer(chain[0].input)) is not None and graph.only_taker(before) is chain[0]:
        chain.insert(0, before)
        if type(before.operation) in PRODUCERS:
            return chain[:-1] if is_linear(before.operation) else []
        if len(chain) > 2 or not is_batch_norm_of_channels(before):
            break
    return []
