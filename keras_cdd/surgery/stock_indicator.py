"""Indicators that fold nowhere, as stock layers."""

import keras

from keras_cdd.annotations import Shape
from keras_cdd.layers import ChannelIndicator, DiagonalIndicator

L = keras.layers


def stock_indicator(
    indicator: ChannelIndicator | DiagonalIndicator, input_shape: Shape, name: str
) -> keras.layers.Layer:
    """A float32 stock layer without a bias that computes the same.

    Args:
        indicator: a built indicator.
        input_shape: (N, ..., channels).
        name: of the new layer.
    """
    kind = _dense if isinstance(indicator, ChannelIndicator) else _diagonal
    layer = kind(indicator, len(input_shape), {"name": name, "dtype": "float32"})
    layer.build(input_shape)
    kernel = keras.ops.convert_to_numpy(indicator.kernel)
    layer.set_weights([kernel.reshape(layer.kernel.shape)])
    return layer


def _dense(indicator: ChannelIndicator, rank: int, options: dict[str, str]) -> keras.layers.Layer:
    if rank == 4:
        return L.Conv2D(indicator.kept, 1, use_bias=False, **options)
    return L.Dense(indicator.kept, use_bias=False, **options)


def _diagonal(indicator: DiagonalIndicator, rank: int, options: dict[str, str]) -> keras.layers.Layer:
    if rank in (3, 4):
        kind = L.DepthwiseConv2D if rank == 4 else L.DepthwiseConv1D
        return kind(1, use_bias=False, **options)
    return L.EinsumDense("...a,a->...a", output_shape=indicator.kernel.shape[-1], **options)
