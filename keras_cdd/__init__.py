"""Capacity Dynamic Distillation for Keras."""

from keras_cdd.layers import ChannelIndicator, GatedBasicBlock, GatedBottleneck
