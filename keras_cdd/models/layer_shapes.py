"""What the time of a layer depends on besides its channels."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import keras

from keras_cdd.models.call import Call
from keras_cdd.models.terms import Width, Widths

L = keras.layers

LAYER_PRECISIONS = ("int8", "float32")
# Widths at which a layer is timed, as fractions of the uncut one; the larger ones are multiples, for which kernels are
# made.
FRACTIONS = (1, 1 / 2, 1 / 4, 1 / 8)
MULTIPLE = 8


@dataclasses.dataclass(frozen=True)
class LayerShape:
    """A convolution without its channels; a dense layer is a 1x1 convolution at each of its positions.

    Attributes:
        kernel, strides: (height, width).
        size: (height, width) of the output.
        is_depthwise: whether every channel has a kernel of its own.
    """

    kernel: tuple[int, int]
    strides: tuple[int, int]
    size: tuple[int, int]
    is_depthwise: bool = False


# A layer with its numbers of input and output channels.
Point = tuple[LayerShape, int, int]
# The milliseconds of each of some layers.
LayerTimes = Callable[[Sequence[Point]], Sequence[float]]


@dataclasses.dataclass(frozen=True)
class TimedLayer:
    """A layer of the deployed form and its channels, which sites contribute to."""

    shape: LayerShape
    inputs: Width
    outputs: Width

    def points(self, full: Widths) -> list[Point]:
        """The layer at the widths to time it at; `full` has the widths of the uncut network."""
        outputs = _counts(self.outputs, full)
        if self.shape.is_depthwise:
            return [(self.shape, count, count) for count in outputs]
        return [(self.shape, into, out) for into in _counts(self.inputs, full) for out in outputs]


def _counts(width: Width, full: Widths) -> list[int]:
    """Numbers of channels, from few to all; only the one that there is where no site contributes."""
    count = width(full)
    if not width.sites:
        return [count]
    parts = [math.ceil(count * part) for part in FRACTIONS]
    return sorted({part if part < MULTIPLE else min(count, -(-part // MULTIPLE) * MULTIPLE) for part in parts})


def layer_shape(call: Call, kernel: keras.Variable) -> LayerShape | None:
    """The shape of a layer, or None if it is neither a plain nor a depthwise convolution nor a dense layer.

    Args:
        call: the layer's call.
        kernel: the kernel in question; a separable convolution has two.
    """
    layer = call.operation
    if isinstance(layer, L.Dense):
        return LayerShape((1, 1), (1, 1), (1, math.prod(call.output.shape[1:-1])))
    if not isinstance(layer, L.Conv2D | L.DepthwiseConv2D | L.SeparableConv2D) or layer.data_format != "channels_last":
        return None
    if getattr(layer, "groups", 1) > 1 or getattr(layer, "depth_multiplier", 1) > 1:
        return None
    size = tuple(call.output.shape[1:3])
    if kernel is getattr(layer, "pointwise_kernel", None):
        return LayerShape((1, 1), (1, 1), size)
    is_depthwise = not isinstance(layer, L.Conv2D)
    return LayerShape(tuple(kernel.shape[:2]), tuple(layer.strides), size, is_depthwise)
