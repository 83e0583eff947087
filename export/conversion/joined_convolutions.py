"""A residual block whose shortcut is a convolution too: both as one convolution."""

import keras
import numpy as np


def joined(add):
    """`conv(a) + shortcut(b)` as one 1x1 convolution of the channels of a and b; it computes the same.

    The terms are then never rounded, written and read again: with 8 bits that takes longer than to compute them.

    Args:
        add: `keras.layers.Add` of a functional model.

    Returns:
        Dict name -> function to call instead, for the three layers; empty where an input is not a linear 1x1
        convolution that is used here alone.
    """
    nodes = add._inbound_nodes
    convs = [tensor._keras_history.operation for tensor in nodes[0].input_tensors]
    if len(nodes) > 1 or len(set(convs)) != 2 or not all(map(_joins, convs)):
        return {}
    kernel = np.concatenate([keras.ops.convert_to_numpy(conv.kernel) for conv in convs], 2)
    bias = sum(keras.ops.convert_to_numpy(conv.bias) for conv in convs if conv.bias is not None)
    new = keras.layers.Conv2D(kernel.shape[3], 1, name=f"{add.name}_joined")
    new.build((None, None, None, kernel.shape[2]))
    new.set_weights([kernel, np.broadcast_to(bias, kernel.shape[3])])
    concatenate = keras.layers.Concatenate(name=f"{add.name}_inputs")
    return {add.name: lambda inputs: new(concatenate(inputs))} | {conv.name: _read_by(conv) for conv in convs}


def _joins(conv):
    return (
        isinstance(conv, keras.layers.Conv2D)
        and (tuple(conv.kernel_size), conv.groups) == ((1, 1), 1)
        and conv.activation is keras.activations.linear
        and len(conv._inbound_nodes) == len(conv._outbound_nodes) == 1
    )


def _read_by(conv):
    """A function of a 1x1 convolution's input: the pixels of it that its strides meet."""
    if max(conv.strides) == 1:
        return lambda x: x
    return keras.layers.MaxPooling2D(1, conv.strides, name=f"{conv.name}_pixels")
