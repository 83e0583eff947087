"""Multiply-adds of one layer call, as the field counts them: convolutions and dense layers, one MAC a multiply-add."""

import math
from typing import Any

import keras

from keras_cdd.layers import ChannelIndicator
from keras_cdd.models.call import Call

L = keras.layers
_CONVOLUTIONS = L.Conv1D | L.Conv2D | L.Conv3D | L.DepthwiseConv1D | L.DepthwiseConv2D
_TRANSPOSED = L.Conv1DTranspose | L.Conv2DTranspose | L.Conv3DTranspose
_SEPARABLE = L.SeparableConv1D | L.SeparableConv2D


def multiply_adds(call: Call) -> int:
    """MACs of one image; 0 for everything but convolutions, dense layers and indicators.

    A transposed convolution multiplies its whole kernel with every input position, the others theirs for every output
    position, padding included. A dense layer counts once for every position of a map.

    Raises:
        ValueError: for a size that is open.
    """
    layer = call.operation
    if isinstance(layer, _TRANSPOSED):
        return _size(layer.kernel) * _positions(call, call.input, layer.data_format)
    if isinstance(layer, _SEPARABLE):
        kernels = _size(layer.depthwise_kernel) + _size(layer.pointwise_kernel)
        return kernels * _positions(call, call.output, layer.data_format)
    if isinstance(layer, _CONVOLUTIONS):
        return _size(layer.kernel) * _positions(call, call.output, layer.data_format)
    if isinstance(layer, L.Dense | ChannelIndicator):
        return _size(layer.kernel) * _positions(call, call.output, "channels_last")
    return 0


def _size(kernel: Any) -> int:
    return math.prod(kernel.shape)


def _positions(call: Call, tensor: Any, data_format: str) -> int:
    sides = tensor.shape[1:-1] if data_format == "channels_last" else tensor.shape[2:]
    if None in sides:
        raise ValueError(
            "Counting needs a fixed image size: give the model's Input a height and a width. "
            f"Received: {call.operation.name} with shape {tuple(tensor.shape)}"
        )
    return math.prod(sides)
