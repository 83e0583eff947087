"""Joins the last convolution of a residual block and the convolution on its shortcut."""

import keras
import numpy as np


def joined(graph, add):
    """Rewrites `conv(a) + shortcut(b)` as one 1x1 convolution of the concatenated channels of a and b.

    It computes the same, without rounding, writing and reading the two terms, which in 8 bits takes longer than
    computing them.

    Args:
        graph: `Graph` of a functional model.
        add: the `Call` of a `keras.layers.Add` in it.

    Returns:
        Dict id of a call -> function to call instead, for the three calls. Empty unless both inputs are linear 1x1
        convolutions whose output is used only here.
    """
    calls = [graph.producer(tensor) for tensor in add.inputs]
    if len(set(calls)) != 2 or len(calls) != 2 or not all(call is not None and _joins(graph, call) for call in calls):
        return {}
    convs, name = [call.operation for call in calls], add.operation.name
    kernel = np.concatenate([keras.ops.convert_to_numpy(conv.kernel) for conv in convs], 2)
    bias = sum(keras.ops.convert_to_numpy(conv.bias) for conv in convs if conv.bias is not None)
    new = keras.layers.Conv2D(kernel.shape[3], 1, name=f"{name}_joined")
    new.build((None, None, None, kernel.shape[2]))
    new.set_weights([kernel, np.broadcast_to(bias, kernel.shape[3])])
    concatenate = keras.layers.Concatenate(name=f"{name}_inputs")
    return {id(add): lambda inputs: new(concatenate(inputs))} | {id(call): _read_by(call.operation) for call in calls}


def _joins(graph, call):
    conv = call.operation
    return (
        isinstance(conv, keras.layers.Conv2D)
        and (tuple(conv.kernel_size), conv.groups) == ((1, 1), 1)
        and conv.activation is keras.activations.linear
        and graph.is_called_once(call)
        and graph.only_taker(call) is not None
    )


def _read_by(conv):
    """A function from a 1x1 convolution's input to the pixels that its strides select."""
    if max(conv.strides) == 1:
        return lambda x: x
    return keras.layers.MaxPooling2D(1, conv.strides, name=f"{conv.name}_pixels")
