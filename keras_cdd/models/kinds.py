"""The layers whose MACs are counted, grouped by the channel axes of their kernels."""

import keras

L = keras.layers

# Kernels (..., inputs, outputs), without dense layers.
CONVOLUTIONS = (L.Conv1D, L.Conv2D, L.Conv3D)
# (..., outputs, inputs).
TRANSPOSED = (L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose)
# (..., inputs, outputs per input).
DEPTHWISE = (L.DepthwiseConv1D, L.DepthwiseConv2D)
# Two kernels: a depthwise one, then one of a 1x1 convolution.
SEPARABLE = (L.SeparableConv1D, L.SeparableConv2D)
