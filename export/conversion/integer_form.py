"""The same network in a form that 8-bit integers compute well: where one scale for a tensor would lose most."""

import keras
import numpy as np

from keras_cdd.surgery.fuse import in_inference

from .joined_convolutions import joined
from .pixel_groups import of_pixel_groups


def integer_form(model):
    """Rewrites some places of a functional model; in float it computes the same, but for half a grey level at borders.

    - `Rescaling` -> (zero padding) -> convolution: pixels are only shifted by a whole number, which integers do
      exactly; scale and rest go into the convolution. Padding then shows that whole number, not its fraction.
      With a stride, the convolution takes groups of pixels, see `of_pixel_groups`.
    - ReLU -> zero padding -> max-pooling behind it, as in ResNets: to surround a whole map with zeros takes longer than
      to pool it. "same" pads both sides of an odd size, so the convolution makes a row and a column more, and what
      they pool to is dropped.
    - 1x1 convolution + shortcut that is one too: a convolution of both inputs, see `joined`.
    - global average pooling -> BatchNorm: scale and shift move before the mean, as a 1x1 depthwise convolution with
      a scale for each channel. Pooled features of all channels on one integer scale would keep few levels each.
    - any other BatchNorm of feature maps: such a convolution where it stands.
    - dense layer -> BatchNorm: one dense layer.
    - dense layer of vectors: a 1x1 convolution. With 8 bits a scale for each output is younger in dense layers than in
      convolutions, and older runtimes compute it otherwise.

    Args:
        model: functional Keras model, as `keras_cdd.fuse` gives; without these places it stays as it is.

    Returns:
        A new model; the given one is left alone.
    """
    # A copy, since calls add to the graph that is looked at; decided before the first of them.
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    model, replacements = copy, {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.Rescaling) and (conv := _convolution_after(layer)) is not None:
            shift = _whole_shift(layer)
            replacements[layer.name] = keras.layers.Rescaling(1.0, (-shift).tolist(), name=f"{layer.name}_shift")
            replacements |= _grouped(_of_shifted_pixels(conv, layer, shift), layer, _padded_pooling(conv))
        if isinstance(layer, keras.layers.Add):
            replacements |= joined(layer)
        if isinstance(layer, keras.layers.Dense) and len(layer._inbound_nodes) == 1 and len(layer.input.shape) == 2:
            replacements[layer.name] = _pointwise(layer)
        if isinstance(layer, keras.layers.BatchNormalization) and len(layer._inbound_nodes) == 1:
            replacements |= _without_normalisation(layer)

    def call(layer, *args, **kwargs):
        # What else a layer is called with, as BatchNorm with its mask, is its own affair.
        return replacements[layer.name](*args) if layer.name in replacements else layer(*args, **kwargs)

    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


class _Chain:
    """Layers one after the other; none at all is the identity."""

    def __init__(self, *layers):
        self._layers = layers

    def __call__(self, x):
        for layer in self._layers:
            x = layer(x)
        return x


def _after(layer):
    """The only taker of a layer's only output, or None."""
    taken, given = layer._inbound_nodes, layer._outbound_nodes
    return given[0].operation if len(taken) == len(given) == 1 else None


def _convolution_after(rescaling):
    layer = _after(rescaling)
    if isinstance(layer, keras.layers.ZeroPadding2D):
        layer = _after(layer)
    plain = isinstance(layer, keras.layers.Conv2D) and layer.groups == 1 and len(layer._inbound_nodes) == 1
    return layer if plain else None


def _whole_shift(rescaling):
    """The pixel value that the network sees as 0, rounded: a number, or one a channel."""
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


def _padded_pooling(conv):
    """The zero padding and the max-pooling behind a convolution's ReLU if they can go without the padding, or None."""
    relu = _after(conv)
    padding = _after(relu) if isinstance(relu, keras.layers.ReLU) and not relu.negative_slope else None
    if not isinstance(padding, keras.layers.ZeroPadding2D) or padding.padding != ((1, 1), (1, 1)):
        return None
    pooling = _after(padding)
    fits = isinstance(pooling, keras.layers.MaxPooling2D) and conv.padding == pooling.padding == "valid"
    fits = fits and (tuple(pooling.pool_size), tuple(pooling.strides)) == ((3, 3), (2, 2))
    even = all(side is not None and side % 2 == 0 for side in relu.output.shape[1:3])
    return (padding, pooling) if fits and even else None


def _grouped(conv, rescaling, pooling):
    """Name -> replacement of the first convolution and, where it takes groups of pixels, of what is around it."""
    padding = _after(rescaling)
    padded = isinstance(padding, keras.layers.ZeroPadding2D)
    margins = padding.padding if padded else ((0, 0), (0, 0))
    if pooling is not None:
        margins = [(before, after + stride) for (before, after), stride in zip(margins, conv.strides, strict=True)]
    groups = of_pixel_groups(conv, rescaling.output.shape[1:], margins)
    if groups is None:
        return {conv.name: conv}
    replacements = {conv.name: _Chain(*groups)} | ({padding.name: _Chain()} if padded else {})
    if pooling is not None:
        before, pool = pooling
        same = keras.layers.MaxPooling2D(3, 2, padding="same", name=pool.name)
        last = keras.layers.Cropping2D(((0, 1), (0, 1)), name=f"{pool.name}_crop")
        replacements |= {before.name: _Chain(), pool.name: _Chain(same, last)}
    return replacements


def _without_normalisation(bn):
    """Name -> replacement of a BatchNorm and, where it goes elsewhere, of the layer before it."""
    before = bn.input._keras_history.operation
    alone = _after(before) is bn
    if len(bn.input.shape) == 4:
        return {bn.name: _by_channel(bn)}
    if alone and isinstance(before, keras.layers.GlobalAveragePooling2D):
        pool = keras.layers.GlobalAveragePooling2D(name=before.name)
        return {before.name: _Chain(_by_channel(bn), pool), bn.name: _Chain()}
    if alone and isinstance(before, keras.layers.Dense) and before.activation is keras.activations.linear:
        return {before.name: _pointwise(_normalised(before, bn)), bn.name: _Chain()}
    return {}


def _by_channel(bn):
    """BatchNorm in inference as a convolution that multiplies every channel with one number."""
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
    """A dense layer of vectors as a convolution of maps of one pixel."""
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
