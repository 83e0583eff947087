"""Counts the MACs of one layer call in convolutions, dense layers and indicators; one MAC is one multiply-add."""

import math
from typing import Any

import keras

from keras_cdd.layers import ChannelIndicator, DiagonalIndicator
from keras_cdd.models.call import Call
from keras_cdd.models.kinds import CONVOLUTIONS, DEPTHWISE, SEPARABLE, TRANSPOSED

_OF_CHANNELS_LAST = (keras.layers.Dense, ChannelIndicator, DiagonalIndicator)


def multiply_adds(call: Call) -> int:
    """MACs of a call for one image; 0 for operations other than convolutions, dense layers and indicators.

    A transposed convolution applies its whole kernel at every input position, the other layers at every output
    position, including padding. A dense layer on a feature map counts at every position.

    Args:
        call: `Call` of any operation.

    Raises:
        ValueError: if the image size is open.
    """
    layer = call.operation
    if not isinstance(layer, CONVOLUTIONS + DEPTHWISE + SEPARABLE + TRANSPOSED + _OF_CHANNELS_LAST):
        return 0
    if isinstance(layer, DiagonalIndicator) and len(call.input.shape) not in (3, 4):
        return 0  # Not a depthwise convolution when deployed, but a product.
    tensor = call.input if isinstance(layer, TRANSPOSED) else call.output
    data_format = "channels_last" if isinstance(layer, _OF_CHANNELS_LAST) else layer.data_format
    return _kernel_size(layer) * _positions(call, tensor, data_format)


def _kernel_size(layer: keras.layers.Layer) -> int:
    """Number of weights in the kernel of a layer, or in both kernels of a separable convolution."""
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
