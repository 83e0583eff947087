"""Finds the layers that can take the factors of a diagonal indicator into their kernels."""

from collections.abc import Sequence

import keras

from keras_cdd.annotations import Tensor
from keras_cdd.models.call import Call
from keras_cdd.models.graph import Graph

L = keras.layers
# What they give is as many times larger as what they take, channel by channel, in inference.
_POOLING = (
    L.AveragePooling1D,
    L.AveragePooling2D,
    L.AveragePooling3D,
    L.GlobalAveragePooling1D,
    L.GlobalAveragePooling2D,
    L.GlobalAveragePooling3D,
)
_LINEAR = (
    *_POOLING,
    L.ZeroPadding1D,
    L.ZeroPadding2D,
    L.ZeroPadding3D,
    L.Cropping1D,
    L.Cropping2D,
    L.Cropping3D,
    L.UpSampling1D,
    L.UpSampling2D,
    L.UpSampling3D,
    L.Dropout,
    L.SpatialDropout1D,
    L.SpatialDropout2D,
    L.SpatialDropout3D,
    L.Identity,
)


def scaled_readers(graph: Graph, calls: Sequence[Call], hosts: set[int]) -> list[Call]:
    """The hosts that read all that some calls give, each channel times a factor.

    Between the calls and the hosts, the factor may pass what is linear in every channel, products with something that
    has no part in it, and what repeats channels in order.

    Args:
        graph: the `Graph`.
        calls: all calls of one diagonal indicator.
        hosts: ids of the calls whose layers may take factors into their kernel.

    Returns:
        Calls of hosts; empty if something else reads it, too.
    """
    scaled: dict[int, Tensor] = {}
    waiting, readers, passed = [call.output for call in calls], [], []
    while waiting:
        x = waiting.pop()
        scaled[id(x)] = x
        if graph.is_output(x):
            return []
        for taker in graph.takers(x):
            if id(taker) in hosts:
                readers.append(taker)
            elif _passes(taker, x):
                passed.append(taker)
                waiting += [y for y in taker.outputs if id(y) not in scaled]
            else:
                return []
    if any(sum(id(x) in scaled for x in call.inputs) > 1 for call in passed):
        return []  # Squared.
    known = {id(call) for call in readers}
    return readers if all(id(call) in known for one in readers for call in graph.calls_of(one.operation)) else []


def _passes(call: Call, x: Tensor) -> bool:
    layer = call.operation
    if getattr(layer, "data_format", None) not in (None, "channels_last") or len(call.outputs) != 1:
        return False
    if type(layer).__name__ == "Multiply" and type(layer).__module__.startswith("keras."):
        return call.output.shape[-1] == x.shape[-1]
    if len(call.inputs) != 1 or call.kwargs.get("mask") is not None:
        return False
    if type(layer) in (L.Flatten, L.Reshape):
        return isinstance(call.output.shape[-1], int) and call.output.shape[-1] % x.shape[-1] == 0
    return type(layer) in _LINEAR and not call.kwargs.get("training")
