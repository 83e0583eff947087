"""Counts multiply-adds while a model runs, from the arrays that pass through every layer."""

import math

import keras

L = keras.layers


def profiled_macs(model, images):
    """Runs a model on one image and adds up what its convolutions and dense layers multiply."""
    total = [0]
    # A fresh list: wrapping changes the layers that are walked.
    leaves = [layer for layer in model._flatten_layers(include_self=False) if not list(layer._layers)]
    for layer in leaves:
        layer.call = _counting(layer, layer.call, total)
    try:
        model(images)
    finally:
        for layer in leaves:
            del layer.call
    return total[0]


def _counting(layer, call, total):
    def counting(inputs, *args, **kwargs):
        outputs = call(inputs, *args, **kwargs)
        total[0] += _multiplied(layer, inputs, outputs)
        return outputs

    return counting


def _multiplied(layer, inputs, outputs):
    """For every output value (or input value, where that is scattered) the weights that it is multiplied with."""
    kind = type(layer).__name__
    if kind == "Dense":
        return math.prod(outputs.shape) * inputs.shape[-1]
    if kind == "ChannelIndicator":
        return math.prod(outputs.shape) * inputs.shape[-1]
    if kind in ("Conv1D", "Conv2D"):
        return math.prod(outputs.shape) * math.prod(layer.kernel_size) * inputs.shape[-1] // layer.groups
    if kind in ("DepthwiseConv1D", "DepthwiseConv2D"):
        return math.prod(outputs.shape) * math.prod(layer.kernel_size)
    if kind in ("Conv1DTranspose", "Conv2DTranspose"):
        return math.prod(inputs.shape) * math.prod(layer.kernel_size) * outputs.shape[-1]
    if kind in ("SeparableConv1D", "SeparableConv2D"):
        between = math.prod(outputs.shape[:-1]) * inputs.shape[-1] * layer.depth_multiplier
        return between * (math.prod(layer.kernel_size) + outputs.shape[-1])
    return 0
