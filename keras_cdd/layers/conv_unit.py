"""A convolution with its BatchNorm and, at a site, its channel indicator."""

import functools

import keras

from keras_cdd.layers.feature_recorder import active_recorder
from keras_cdd.layers.fused_batch_normalization import FusedBatchNormalization
from keras_cdd.layers.indicator_kinds import INDICATOR_KINDS


class ConvUnit(keras.layers.Layer):
    """`conv - BN (- indicator)`: the unit that blocks are built from and that fuses into one convolution.

    Args:
        filters: output channels of the convolution.
        kernel_size: 1 or 3.
        stride: stride of the convolution; padding is symmetric at every stride, as in torch.
        kept: channels at the indicator as indices into the uncut layer, `{"inputs": [...], "outputs": [...]}`; `{}`
            for an uncut indicator, None for no indicator.
        use_bias, epsilon, momentum, indicator: see `GatedBottleneck`.
        **kwargs: of `keras.layers.Layer`.

    Input and output shape: (N, H, W, C) -> (N, ceil(H / stride), ceil(W / stride), filters or kept outputs).
    """

    def __init__(self, filters, kernel_size, stride, kept, use_bias, epsilon, momentum, indicator="dense", **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.margin = (kernel_size - 1) // 2 if stride > 1 else 0
        self.conv = keras.layers.Conv2D(
            filters,
            kernel_size,
            strides=stride,
            # "same" pads symmetrically at stride 1 only. At other strides `pad` adds the margin, as torch does.
            padding="valid" if self.margin else "same",
            use_bias=use_bias,
            kernel_initializer="he_normal",
            dtype=self.dtype_policy,
            name="conv",
        )
        if kernel_size == 1 and stride > 1:
            self.conv.convolution_op = functools.partial(_skipping, stride)
        self.bn = FusedBatchNormalization(momentum=momentum, epsilon=epsilon, dtype=self.dtype_policy, name="bn")
        self.indicator = None
        if kept is not None:
            channels = {"output_channels": kept.get("outputs")}
            if indicator == "dense":
                channels["input_channels"] = kept.get("inputs")
            self.indicator = INDICATOR_KINDS[indicator](**channels, dtype=self.dtype_policy, name="indicator")

    def build(self, input_shape):
        self.conv.build(self._padded_shape(input_shape))
        shape = self._convolved_shape(input_shape)
        self.bn.build(shape)
        if self.indicator is not None:
            self.indicator.build(shape)

    def call(self, inputs, site=None, training=None):
        """With a `site`, an active `FeatureRecorder` stores the convolution's and the indicator's outputs under it."""
        convolved = self.bn(self.conv(self.pad(inputs)), training=training)
        outputs = convolved if self.indicator is None else self.indicator(convolved)
        if site is not None and (recorder := active_recorder()) is not None:
            recorder.record(site, convolved, outputs)
        return outputs

    def pad(self, inputs):
        """The inputs with a margin of zeros where the convolution has a stride: (N, H + 2m, W + 2m, C)."""
        if not self.margin:
            return inputs
        return keras.ops.pad(inputs, ((0, 0), (self.margin,) * 2, (self.margin,) * 2, (0, 0)))

    def _padded_shape(self, input_shape):
        batch, height, width, channels = input_shape
        size = (None if side is None else side + 2 * self.margin for side in (height, width))
        return (batch, *size, channels)

    def _convolved_shape(self, input_shape):
        return self.conv.compute_output_shape(self._padded_shape(input_shape))

    def compute_output_shape(self, input_shape):
        shape = self._convolved_shape(input_shape)
        return shape if self.indicator is None else self.indicator.compute_output_shape(shape)


def _skipping(stride, inputs, kernel):
    """A strided 1x1 convolution as one of every `stride`-th pixel.

    oneDNN's gradients of strided 1x1 convolutions with fewer input channels than a vector register holds (8 with AVX2,
    16 with AVX-512) write past the end of their memory, and are wrong with AVX2 (TensorFlow 2.21).
    """
    return keras.ops.conv(inputs[:, ::stride, ::stride], kernel, padding="valid")
