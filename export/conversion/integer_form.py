"""Rewrites a network for 8-bit integers, where one scale per tensor would lose the most accuracy."""

import keras
import numpy as np

from keras_cdd.models.copies import Copies
from keras_cdd.models.graph import graph_of
from keras_cdd.surgery.folded_layer import in_inference

from .joined_convolutions import joined
from .pixel_groups import of_pixel_groups


def integer_form(model):
    """Rewrites the patterns below in a functional model.

    In float the new model computes the same, except for a difference of at most half a grey level in the padding.

    - `Rescaling` -> (zero padding) -> convolution: the pixels are only shifted by a whole number, which is exact in
      integers. The convolution absorbs the scale and the rest of the offset. The padding then has the value of the
      rounded shift. A convolution with a stride takes groups of pixels, see `of_pixel_groups`.
    - ReLU -> zero padding -> max-pooling after that convolution, as in ResNets: padding a whole feature map takes
      longer than pooling it. Padding "same" pads both sides only for odd sizes, so the convolution computes one more
      row and column, and a cropping layer drops what they pool to.
    - 1x1 convolution + shortcut with a 1x1 convolution: one convolution of both inputs, see `joined`.
    - global average pooling -> BatchNorm: scale and shift move before the mean, as a 1x1 depthwise convolution with
      one quantization scale per channel. Pooled features that share one scale would keep only a few levels per channel.
    - any other BatchNorm of feature maps: a 1x1 depthwise convolution in its place.
    - dense layer -> BatchNorm: one dense layer.
    - dense layer of vectors: a 1x1 convolution. TFLite's 8-bit dense layers got per-output scales later than its
      convolutions, and older runtimes compute such dense layers differently.

    Args:
        model: functional Keras model, such as the result of `keras_cdd.fuse`.

    Returns:
        A new model; the given model is not changed.
    """
    graph, replacements = graph_of(model), {}
    for call in graph.calls:
        layer = call.operation
        if isinstance(layer, keras.layers.Rescaling) and (conv := _convolution_after(graph, call)) is not None:
            shift = _whole_shift(layer)
            replacements[id(call)] = keras.layers.Rescaling(1.0, (-shift).tolist(), name=f"{layer.name}_shift")
            of_shifted = _of_shifted_pixels(conv.operation, layer, shift)
            replacements |= _grouped(graph, call, conv, of_shifted, _padded_pooling(graph, conv))
        if isinstance(layer, keras.layers.Add):
            replacements |= joined(graph, call)
        if isinstance(layer, keras.layers.Dense) and graph.is_called_once(call) and len(call.inputs[0].shape) == 2:
            replacements[id(call)] = _pointwise(layer)
        if isinstance(layer, keras.layers.BatchNormalization) and graph.is_called_once(call):
            replacements |= _without_normalisation(graph, call)
    copies = Copies(graph)

    def replaced(call, *args, **kwargs):
        # Replacements take only the tensors, without `mask` and `training`.
        return replacements[id(call)](*args) if id(call) in replacements else copies(call, *args, **kwargs)

    return graph.replay(replaced)


class _Chain:
    """Calls layers one after the other; without layers it is the identity."""

    def __init__(self, *functions):
        self._functions = functions

    def __call__(self, x):
        for function in self._functions:
            x = function(x)
        return x


def _after(graph, call):
    """The only call that takes a call's output, or None; also None if the layer is called more than once."""
    return graph.only_taker(call) if call is not None and graph.is_called_once(call) else None


def _is(call, kind):
    return call is not None and isinstance(call.operation, kind)


def _convolution_after(graph, rescaling):
    call = _after(graph, rescaling)
    if _is(call, keras.layers.ZeroPadding2D):
        call = _after(graph, call)
    plain = _is(call, keras.layers.Conv2D) and call.operation.groups == 1 and graph.is_called_once(call)
    return call if plain else None


def _whole_shift(rescaling):
    """The pixel value that the network sees as 0, rounded: one number, or one per channel."""
    return np.rint(-np.asarray(rescaling.offset) / np.asarray(rescaling.scale))


def _of_shifted_pixels(conv, rescaling, shift):
    """The convolution of `pixels - shift` that equals `conv` of rescaled pixels."""
    kernel = keras.ops.convert_to_numpy(conv.kernel).astype(np.float64)
    bias = np.zeros(kernel.shape[-1]) if conv.bias is None else keras.ops.convert_to_numpy(conv.bias)
    scale = np.broadcast_to(rescaling.scale, kernel.shape[2])
    rest = np.broadcast_to(scale * shift + rescaling.offset, kernel.shape[2])
    bias = bias + (kernel * rest[:, None]).sum((0, 1, 2))
    new = keras.layers.Conv2D.from_config({**conv.get_config(), "use_bias": True})
    new.build((None, None, None, kernel.shape[2]))
    new.set_weights([(kernel * scale[:, None]).astype(np.float32), bias.astype(np.float32)])
    return new


def _padded_pooling(graph, conv):
    """The zero padding and max-pooling after a convolution's ReLU if the padding can be removed; otherwise None."""
    relu = _after(graph, conv)
    padding = _after(graph, relu) if _is(relu, keras.layers.ReLU) and not relu.operation.negative_slope else None
    if not _is(padding, keras.layers.ZeroPadding2D) or padding.operation.padding != ((1, 1), (1, 1)):
        return None
    pooling = _after(graph, padding)
    if not _is(pooling, keras.layers.MaxPooling2D):
        return None
    pool = pooling.operation
    fits = conv.operation.padding == pool.padding == "valid"
    fits = fits and (tuple(pool.pool_size), tuple(pool.strides)) == ((3, 3), (2, 2))
    even = all(side is not None and side % 2 == 0 for side in relu.output.shape[1:3])
    return (padding, pooling) if fits and even else None


def _grouped(graph, rescaling, call, conv, pooling):
    """Replaces the first convolution by `conv`, and the layers around it if it takes groups of pixels.

    `call` is the call of the original convolution. Returns id of a call -> replacement.
    """
    padding = _after(graph, rescaling)
    padded = _is(padding, keras.layers.ZeroPadding2D)
    margins = padding.operation.padding if padded else ((0, 0), (0, 0))
    if pooling is not None:
        margins = [(before, after + stride) for (before, after), stride in zip(margins, conv.strides, strict=True)]
    groups = of_pixel_groups(conv, rescaling.output.shape[1:], margins)
    if groups is None:
        return {id(call): conv}
    replacements = {id(call): _Chain(*groups)} | ({id(padding): _Chain()} if padded else {})
    if pooling is not None:
        before, pool = pooling
        name = pool.operation.name
        same = keras.layers.MaxPooling2D(3, 2, padding="same", name=name)
        last = keras.layers.Cropping2D(((0, 1), (0, 1)), name=f"{name}_crop")
        replacements |= {id(before): _Chain(), id(pool): _Chain(same, last)}
    return replacements


def _without_normalisation(graph, call):
    """Id of a call -> replacement, for a BatchNorm and, if it moves, for the call before it."""
    bn, before = call.operation, graph.producer(call.inputs[0])
    alone = _after(graph, before) is call
    if len(call.inputs[0].shape) == 4:
        return {id(call): _by_channel(bn)}
    if alone and _is(before, keras.layers.GlobalAveragePooling2D):
        pool = keras.layers.GlobalAveragePooling2D(name=before.operation.name)
        return {id(before): _Chain(_by_channel(bn), pool), id(call): _Chain()}
    dense = before.operation if _is(before, keras.layers.Dense) else None
    if alone and dense is not None and dense.activation is keras.activations.linear:
        return {id(before): _pointwise(_normalised(dense, bn)), id(call): _Chain()}
    return {}


def _by_channel(bn):
    """BatchNorm in inference as a 1x1 depthwise convolution: a factor and a bias per channel."""
    scale, bias = in_inference(bn)
    layer = keras.layers.DepthwiseConv2D(1, name=f"{bn.name}_by_channel")
    layer.build((None, None, None, len(scale)))
    layer.set_weights([scale.astype(np.float32)[None, None, :, None], bias.astype(np.float32)])
    return layer


def _normalised(dense, bn):
    """A dense layer and the BatchNorm after it as one dense layer."""
    scale, bias = in_inference(bn)
    kernel = keras.ops.convert_to_numpy(dense.kernel).astype(np.float64)
    if dense.bias is not None:
        bias = bias + keras.ops.convert_to_numpy(dense.bias) * scale
    new = keras.layers.Dense(dense.units, name=dense.name)
    new.build((None, kernel.shape[0]))
    new.set_weights([(kernel * scale).astype(np.float32), bias.astype(np.float32)])
    return new


def _pointwise(dense):
    """A dense layer of vectors as a 1x1 convolution of 1x1 feature maps."""
    kernel, *bias = dense.get_weights()
    new = keras.layers.Conv2D(
        dense.units, 1, activation=dense.activation, use_bias=dense.use_bias, name=f"{dense.name}_pointwise"
    )
    new.build((None, 1, 1, len(kernel)))
    new.set_weights([kernel[None, None], *bias])
    return _Chain(
        lambda vectors: keras.ops.reshape(vectors, (-1, 1, 1, len(kernel))),
        new,
        lambda maps: keras.ops.reshape(maps, (-1, dense.units)),
    )
