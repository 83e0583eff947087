"""What a wrapper calls, as calls of the layers inside."""

from collections.abc import Iterator

import keras

from keras_cdd.annotations import Tensor
from keras_cdd.models.call import Call
from keras_cdd.models.graph import graph_of, has_graph

L = keras.layers


def inner_calls(call: Call) -> Iterator[tuple[Call, int]]:
    """The calls that a call stands for, each with how often it happens.

    `TimeDistributed`, `Bidirectional` and `SpectralNormalization` are opened, functional models inside them too, where
    all sizes are fixed; any other call stands for itself.
    """
    for inner, times in _opened(call):
        if inner is call:
            yield call, 1
        else:
            yield from ((one, times * number) for one, number in inner_calls(inner))


def _opened(call: Call) -> list[tuple[Call, int]]:
    layer = call.operation
    if isinstance(layer, L.Bidirectional):
        return [(_with(call, one), 1) for one in (layer.forward_layer, layer.backward_layer)]
    if isinstance(layer, L.SpectralNormalization):
        return [(_with(call, layer.layer), 1)]
    if isinstance(layer, L.TimeDistributed) and isinstance(call.inputs[0].shape[1], int):
        steps = call.inputs[0].shape[1]
        inputs, outputs = ([_one_step(x) for x in tensors] for tensors in (call.inputs[:1], call.outputs))
        return [(Call(layer.layer, tuple(inputs), {}, tuple(outputs)), steps)]
    if isinstance(layer, keras.Model) and has_graph(layer):
        calls = graph_of(layer).calls
        if not any(None in x.shape[1:] for one in calls for x in (*one.inputs, *one.outputs)):
            return [(one, 1) for one in calls]
    return [(call, 1)]


def _with(call: Call, layer: keras.layers.Layer) -> Call:
    return Call(layer, call.args, call.kwargs, call.outputs)


def _one_step(x: Tensor) -> Tensor:
    return keras.KerasTensor((x.shape[0], *x.shape[2:]), x.dtype)
