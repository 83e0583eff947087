"""Finds the layers that can take the factors of a diagonal indicator into their kernels."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

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


def scaled_readers(graph: Graph, calls: Sequence[Call], hosts: set[int]) -> list[tuple[Call, np.ndarray]]:
    """The hosts that read all that some calls give, each channel times a factor.

    Between the calls and the hosts, the factor may pass what is linear in every channel, products with something that
    has no part in it, concatenations, and what repeats channels in order.

    Args:
        graph: the `Graph`.
        calls: all calls of one diagonal indicator.
        hosts: ids of the calls whose layers may take factors into their kernel.

    Returns:
        Calls of hosts, with the number of the factor for every channel of their input, -1 for none; empty if something
        else reads what is scaled, too.
    """
    own = set(map(id, calls))
    scaled = {id(call.output): np.arange(call.output.shape[-1]) for call in calls}
    readers: list[tuple[Call, np.ndarray]] = []
    for call in graph.calls:
        if not any(id(x) in scaled for x in call.inputs):
            continue
        if id(call) in hosts:
            readers.append((call, scaled[id(call.input)]))
            continue
        factors = None if id(call) in own else _passed(call, scaled)
        if factors is None:
            return []
        scaled[id(call.output)] = factors
    ends_inside = not any(id(x) in scaled for x in keras.tree.flatten(graph.outputs))
    return readers if ends_inside and _are_the_same_at_every_call(graph, readers) else []


def _are_the_same_at_every_call(graph: Graph, readers: list[tuple[Call, np.ndarray]]) -> bool:
    known = {id(call): factors for call, factors in readers}
    return all(
        id(call) in known and np.array_equal(known[id(call)], factors)
        for one, factors in readers
        for call in graph.calls_of(one.operation)
    )


def _passed(call: Call, scaled: Mapping[int, np.ndarray]) -> np.ndarray | None:
    """The factors in the output of a call; None where it is not a product with factors."""
    layer, width = call.operation, call.outputs[0].shape[-1] if call.outputs[0].shape else None
    of_inputs = [scaled.get(id(x)) for x in call.inputs]
    given = [factors for factors in of_inputs if factors is not None]
    if getattr(layer, "data_format", None) not in (None, "channels_last") or len(call.outputs) != 1:
        return None
    if _is(layer, "Concatenate") and layer.axis in (-1, len(call.output.shape) - 1):
        none = [np.full(x.shape[-1], -1) for x in call.inputs]
        parts = zip(of_inputs, none, strict=True)
        return np.concatenate([other if factors is None else factors for factors, other in parts])
    if len(given) > 1 or not isinstance(width, int) or width % len(given[0]):
        return None
    if _is(layer, "Multiply"):
        return given[0] if width == len(given[0]) else None
    if len(call.inputs) > 1 or call.kwargs.get("mask") is not None or call.kwargs.get("training"):
        return None
    if type(layer) in (L.Flatten, L.Reshape):
        return np.tile(given[0], width // len(given[0]))
    return given[0] if type(layer) in _LINEAR else None


def _is(layer: keras.Operation, name: str) -> bool:
    """Whether it is a layer or an operation of Keras of that name."""
    return type(layer).__name__ == name and type(layer).__module__.startswith("keras.")
