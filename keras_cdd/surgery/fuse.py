"""The deployed form: every convolution one layer, stock Keras layers only (CDD, section 3.4)."""

from typing import Any

import keras
import numpy as np

from keras_cdd.annotations import Tensor
from keras_cdd.layers import ChannelIndicator, FusedBatchNormalization, GatedBlock, GeneralizedMeanPooling
from keras_cdd.layers.conv_unit import ConvUnit
from keras_cdd.layers.pooling import generalized_mean
from keras_cdd.models.cost import fused_bn
from keras_cdd.models.graph import functional_graph


def fuse(model: keras.Model) -> keras.Model:
    """Folds indicators and BatchNorms into the convolutions before them.

    Args:
        model: functional Keras model or built `Sequential`, with or without gated blocks. Of a retrieval model (a dict
            of outputs with an `embedding`) only the embedding stays.

    Returns:
        A float32 model of stock Keras layers, loadable without this package, that computes the same in inference.
        Models inside it are taken apart to their layers.
    """
    model = functional_graph(model) or model
    if isinstance(model.output, dict) and "embedding" in model.output:
        model = keras.Model(model.input, {"embedding": model.output["embedding"]}, name=model.name)
    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=_StockCall())


class _StockCall:
    """Calls the stock counterpart of a layer, which is made at the first call."""

    def __init__(self) -> None:
        self._made: dict[int, keras.layers.Layer] = {}

    def __call__(self, layer: keras.Operation, *args: Any, **kwargs: Any) -> Tensor:
        if (graph := functional_graph(layer)) is not None:
            return graph._run_through_graph(args[0], call_fn=self)
        if isinstance(layer, GatedBlock):
            return _block(layer, args[0])
        if isinstance(layer, GeneralizedMeanPooling):
            return generalized_mean(args[0], float(layer.p), layer.epsilon)
        if isinstance(layer, keras.layers.Conv2D) and (bn := fused_bn(layer)) is not None:
            return _convolution(layer, layer.name, *folded(layer, bn))(args[0])
        if isinstance(layer, keras.layers.BatchNormalization) and _is_folded(layer):
            return args[0]
        if not isinstance(layer, keras.layers.Layer):
            return layer(*args, **kwargs)
        if id(layer) not in self._made:
            self._made[id(layer)] = _stock(layer)
            outputs = self._made[id(layer)](*args, **kwargs)
            self._made[id(layer)].set_weights(layer.get_weights())
            return outputs
        return self._made[id(layer)](*args, **kwargs)


def _stock(layer: keras.layers.Layer) -> keras.layers.Layer:
    config = {**layer.get_config(), "dtype": "float32"}
    if isinstance(layer, FusedBatchNormalization):
        return keras.layers.BatchNormalization.from_config(config)
    return layer.__class__.from_config(config)


def _is_folded(bn: keras.layers.BatchNormalization) -> bool:
    producer = bn.input._keras_history.operation
    return isinstance(producer, keras.layers.Conv2D) and fused_bn(producer) is bn


def _block(block: GatedBlock, x: Tensor) -> Tensor:
    shortcut = x
    for unit in [*block.inner, block.last]:
        x = _unit(block, unit, x)
        if unit is not block.last:
            x = keras.layers.ReLU(name=f"{block.name}_{unit.name}_relu", dtype="float32")(x)
    if block.shortcut is not None:
        shortcut = _unit(block, block.shortcut, shortcut)
    x = keras.layers.Add(name=f"{block.name}_add", dtype="float32")([x, shortcut])
    return keras.layers.ReLU(name=f"{block.name}_relu", dtype="float32")(x)


def _unit(block: GatedBlock, unit: ConvUnit, x: Tensor) -> Tensor:
    name = f"{block.name}_{unit.name}"
    if unit.margin:
        x = keras.layers.ZeroPadding2D(unit.margin, name=f"{name}_pad", dtype="float32")(x)
    return _convolution(unit.conv, name, *folded(unit.conv, unit.bn, unit.indicator))(x)


def folded(
    conv: keras.layers.Conv2D, bn: keras.layers.BatchNormalization, indicator: ChannelIndicator | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (HWIO) and bias of `indicator(bn(conv(x)))` as one convolution, computed in float64."""
    factor, summand = in_inference(bn)
    kernel = keras.ops.convert_to_numpy(conv.kernel).astype(np.float64) * factor
    bias = summand if conv.bias is None else summand + keras.ops.convert_to_numpy(conv.bias) * factor
    if indicator is not None:
        mixing = keras.ops.convert_to_numpy(indicator.kernel)[0, 0].astype(np.float64)
        kernel, bias = kernel @ mixing, bias @ mixing
    return kernel, bias


def in_inference(bn: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """What BatchNorm multiplies every channel with, and what it adds then; (C,) both, float64."""
    mean, variance = (keras.ops.convert_to_numpy(w).astype(np.float64) for w in (bn.moving_mean, bn.moving_variance))
    gamma = 1.0 if bn.gamma is None else keras.ops.convert_to_numpy(bn.gamma)
    beta = 0.0 if bn.beta is None else keras.ops.convert_to_numpy(bn.beta)
    factor = gamma / np.sqrt(variance + bn.epsilon)
    return factor, beta - mean * factor


def _convolution(conv: keras.layers.Conv2D, name: str, kernel: np.ndarray, bias: np.ndarray) -> keras.layers.Conv2D:
    """A stock convolution with the geometry of `conv` and the given weights."""
    config = {**conv.get_config(), "name": name, "dtype": "float32", "use_bias": True, "filters": len(bias)}
    new = keras.layers.Conv2D.from_config(config)
    new.build((None, None, None, kernel.shape[2]))
    new.set_weights([kernel.astype(np.float32), bias.astype(np.float32)])
    return new
