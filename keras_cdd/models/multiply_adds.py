"""Multiply-adds of one layer call, as the field counts them: convolutions and dense layers, one MAC a multiply-add."""

import math
from typing import Any

import keras

from keras_cdd.layers import ChannelIndicator
from keras_cdd.models.call import Call
from keras_cdd.models.kinds import CONVOLUTIONS, DEPTHWISE, SEPARABLE, TRANSPOSED

_OF_CHANNELS_LAST = (keras.layers.Dense, ChannelIndicator)


def multiply_adds(call: Call, kernels: int | None = None) -> int:
    """MACs of one image; 0 for everything but convolutions, dense layers and indicators.

    A transposed convolution multiplies its whole kernel with every input position, the others theirs for every output
    position, padding included. A dense layer counts once for every position of a map.

    Args:
        call: of any operation.
        kernels: number of weights to count in place of the layer's kernels, for a layer that will have another width.

    Raises:
        ValueError: for a size that is open.
    """
    layer = call.operation
    if not isinstance(layer, CONVOLUTIONS + DEPTHWISE + SEPARABLE + TRANSPOSED + _OF_CHANNELS_LAST):
        return 0
    tensor = call.input if isinstance(layer, TRANSPOSED) else call.output
    data_format = "channels_last" if isinstance(layer, _OF_CHANNELS_LAST) else layer.data_format
    return (kernel_size(layer) if kernels is None else kernels) * _positions(call, tensor, data_format)


def kernel_size(layer: keras.layers.Layer) -> int:
    """Number of weights in a layer's kernels, one or two."""
    if isinstance(layer, SEPARABLE):
        return math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape)
    return math.prod(layer.kernel.shape)


def _positions(call: Call, tensor: Any, data_format: str) -> int:
    sides = tensor.shape[1:-1] if data_format == "channels_last" else tensor.shape[2:]
    if None in sides:
        raise ValueError(
            "Counting needs a fixed image size: give the model's Input a height and a width. "
            f"Received: {call.operation.name} with shape {tuple(tensor.shape)}"
        )
    return math.prod(sides)
