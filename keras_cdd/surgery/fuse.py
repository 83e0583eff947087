"""The deployed form: every convolution one layer, stock Keras layers only (CDD, section 3.4)."""

import itertools
from typing import Any

import keras
import numpy as np

from keras_cdd.annotations import Tensor
from keras_cdd.layers import ChannelIndicator, FusedBatchNormalization, GatedBlock, GeneralizedMeanPooling
from keras_cdd.layers.conv_unit import ConvUnit
from keras_cdd.layers.pooling import generalized_mean
from keras_cdd.models.call import Call
from keras_cdd.models.copies import Copies
from keras_cdd.models.folding import foldings
from keras_cdd.models.graph import Graph, embedding_graph


def fuse(model: keras.Model) -> keras.Model:
    """Folds indicators and BatchNorms into the convolutions before them.

    An indicator that follows no convolution directly becomes a 1x1 convolution.

    Args:
        model: functional Keras model or built `Sequential`, with or without gated blocks. Of a retrieval model (a dict
            of outputs with an `embedding`) only the embedding stays.

    Returns:
        A float32 model of stock Keras layers, loadable without this package, that computes the same in inference.
        Models inside it are taken apart to their layers.

    Raises:
        UserError: for a model without a graph.
    """
    graph = embedding_graph(model)
    return graph.replay(_StockCall(graph))


class _StockCall(Copies):
    """Calls the stock counterpart of a layer."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph, dtype="float32")
        self._found, self._folded = foldings(graph)
        self._blocks: dict[int, _StockBlock] = {}

    def __call__(self, call: Call, *args: Any, **kwargs: Any) -> Any:
        layer = call.operation
        if id(call) in self._folded:
            return args[0]
        if id(call) in self._found:
            folding = self._found[id(call)]
            return _convolution(layer, self.name(layer), *folded(layer, folding.bn, folding.indicator))(args[0])
        if isinstance(layer, GatedBlock):
            if id(layer) not in self._blocks:
                self._blocks[id(layer)] = _StockBlock(layer, self.name(layer))
            return self._blocks[id(layer)](args[0])
        if isinstance(layer, GeneralizedMeanPooling):
            return generalized_mean(args[0], float(layer.p), layer.epsilon)
        return super().__call__(call, *args, **kwargs)

    def copy_of(self, operation: keras.Operation, config: dict[str, Any]) -> keras.Operation:
        if isinstance(operation, ChannelIndicator):
            return keras.layers.Conv2D(operation.kept, 1, use_bias=False, name=config["name"], dtype="float32")
        if isinstance(operation, FusedBatchNormalization):
            return keras.layers.BatchNormalization.from_config(config)
        return super().copy_of(operation, config)


class _StockBlock:
    """The stock layers of a gated block."""

    def __init__(self, block: GatedBlock, name: str) -> None:
        main = [[*_unit(unit, name), _relu(f"{name}_{unit.name}_relu")] for unit in block.inner]
        self._main = [*itertools.chain(*main), *_unit(block.last, name)]
        self._shortcut = [] if block.shortcut is None else _unit(block.shortcut, name)
        self._add = keras.layers.Add(name=f"{name}_add", dtype="float32")
        self._relu = _relu(f"{name}_relu")

    def __call__(self, inputs: Tensor) -> Tensor:
        x = shortcut = inputs
        for layer in self._main:
            x = layer(x)
        for layer in self._shortcut:
            shortcut = layer(shortcut)
        return self._relu(self._add([x, shortcut]))


def _relu(name: str) -> keras.layers.Layer:
    return keras.layers.ReLU(name=name, dtype="float32")


def _unit(unit: ConvUnit, block_name: str) -> list[keras.layers.Layer]:
    name = f"{block_name}_{unit.name}"
    padding = [keras.layers.ZeroPadding2D(unit.margin, name=f"{name}_pad", dtype="float32")] if unit.margin else []
    return [*padding, _convolution(unit.conv, name, *folded(unit.conv, unit.bn, unit.indicator))]


def folded(
    conv: keras.layers.Conv2D,
    bn: keras.layers.BatchNormalization | None = None,
    indicator: ChannelIndicator | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Kernel (HWIO) and bias, if any, of `indicator(bn(conv(x)))` as one convolution, computed in float64."""
    kernel = keras.ops.convert_to_numpy(conv.kernel).astype(np.float64)
    bias = None if conv.bias is None else keras.ops.convert_to_numpy(conv.bias).astype(np.float64)
    if bn is not None:
        factor, summand = in_inference(bn)
        kernel, bias = kernel * factor, summand if bias is None else summand + bias * factor
    if indicator is not None:
        mixing = keras.ops.convert_to_numpy(indicator.kernel)[0, 0].astype(np.float64)
        kernel, bias = kernel @ mixing, None if bias is None else bias @ mixing
    return kernel, bias


def in_inference(bn: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """What BatchNorm multiplies every channel with, and what it adds then; (C,) both, float64."""
    mean, variance = (keras.ops.convert_to_numpy(w).astype(np.float64) for w in (bn.moving_mean, bn.moving_variance))
    gamma = 1.0 if bn.gamma is None else keras.ops.convert_to_numpy(bn.gamma)
    beta = 0.0 if bn.beta is None else keras.ops.convert_to_numpy(bn.beta)
    factor = gamma / np.sqrt(variance + bn.epsilon)
    return factor, beta - mean * factor


def _convolution(
    conv: keras.layers.Conv2D, name: str, kernel: np.ndarray, bias: np.ndarray | None
) -> keras.layers.Conv2D:
    """A stock convolution with the geometry of `conv` and the given weights."""
    config = {"name": name, "dtype": "float32", "use_bias": bias is not None, "filters": kernel.shape[3]}
    new = keras.layers.Conv2D.from_config({**conv.get_config(), **config})
    new.build((None, None, None, kernel.shape[2] * conv.groups))
    new.set_weights([weight.astype(np.float32) for weight in (kernel, bias) if weight is not None])
    return new
