"""The layers whose multiply-adds count, by where their kernels have the channels."""

import keras

L = keras.layers

# Kernels (..., inputs, outputs); dense layers have no place in it.
CONVOLUTIONS = (L.Conv1D, L.Conv2D, L.Conv3D)
# (..., outputs, inputs).
TRANSPOSED = (L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose)
# (..., inputs, outputs of each input).
DEPTHWISE = (L.DepthwiseConv1D, L.DepthwiseConv2D)
# A depthwise kernel, then one of a 1x1 convolution.
SEPARABLE = (L.SeparableConv1D, L.SeparableConv2D)
