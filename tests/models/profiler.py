"""Counts multiply-adds while a model runs, from the arrays that pass through every layer; heads as wide as keys."""

import math

import keras

L = keras.layers


# Counted as a whole, beside or in place of the layers inside.
ATTENTION = ("MultiHeadAttention", "GroupedQueryAttention")
GATES = {"SimpleRNNCell": 1, "GRUCell": 3, "LSTMCell": 4}


def profiled_macs(model, images):
    """Runs a model on one image and adds up what its layers multiply."""
    total = [0]
    # A fresh list: wrapping changes the layers that are walked.
    layers = list(model._flatten_layers(include_self=False))
    # TensorFlow computes steps all at once, or the first one twice.
    outer = [layer for layer in layers if type(layer).__name__ == "TimeDistributed" or hasattr(layer, "cell")]
    inside = {id(inner) for layer in outer for inner in layer._flatten_layers(include_self=False)}
    whole = [*outer, *(layer for layer in layers if type(layer).__name__ in ATTENTION)]
    leaves = [layer for layer in layers if not list(layer._layers)]
    counted = [layer for layer in (*leaves, *whole) if id(layer) not in inside]
    for layer in counted:
        layer.call = _counting(layer, layer.call, total)
    try:
        model(images)
    finally:
        for layer in counted:
            del layer.call
    return total[0]


def _counting(layer, call, total):
    def counting(inputs, *args, **kwargs):
        outputs = call(inputs, *args, **kwargs)
        total[0] += _multiplied(layer, inputs, outputs, *args)
        return outputs

    return counting


def _multiplied(layer, inputs, outputs, *others):
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
    if kind == "EinsumDense":
        of_kernel, of_output = layer.equation.split(",")[1].split("->")
        return math.prod(outputs.shape) * _size_of(layer.kernel, of_kernel, set(of_kernel) - set(of_output))
    if kind in ATTENTION:
        pairs = math.prod(inputs.shape[1:-1]) * math.prod(others[0].shape[1:-1])
        heads, features = layer.output_dense.kernel.shape[:2] if kind == ATTENTION[0] else layer.weights[-2].shape[:2]
        return pairs * heads * 2 * features
    if hasattr(layer, "cell"):
        return inputs.shape[1] * _multiplied_in_a_step(layer.cell, inputs.shape[-1])
    if kind == "TimeDistributed":
        return inputs.shape[1] * _multiplied(layer.layer, inputs[:, 0], outputs[:, 0])
    return 0


def _multiplied_in_a_step(cell, width):
    total = 0
    for each in getattr(cell, "cells", [cell]):
        total += GATES[type(each).__name__] * each.units * (width + each.units)
        width = each.units
    return total


def _size_of(kernel, letters, some):
    return math.prod(side for letter, side in zip(letters, kernel.shape, strict=True) if letter in some)
