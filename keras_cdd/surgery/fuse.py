"""The deployed form: every convolution one layer, stock Keras layers only (CDD, section 3.4)."""

import itertools
from typing import Any

import keras

from keras_cdd.annotations import Tensor
from keras_cdd.layers import (
    ChannelIndicator,
    DiagonalIndicator,
    FusedBatchNormalization,
    GatedBlock,
    GeneralizedMeanPooling,
)
from keras_cdd.layers.conv_unit import ConvUnit
from keras_cdd.layers.pooling import generalized_mean
from keras_cdd.models.call import Call
from keras_cdd.models.copies import Copies
from keras_cdd.models.folding import foldings
from keras_cdd.models.graph import Graph, embedding_graph
from keras_cdd.surgery.folded_layer import folded_layer
from keras_cdd.surgery.stock_indicator import stock_indicator


def fuse(model: keras.Model) -> keras.Model:
    """Folds indicators and BatchNorms into the convolutions and dense layers beside them.

    They go into the linear layer that they follow (Conv1D to 3D, transposed, depthwise and separable convolutions,
    Dense), else into the one that reads them, where it is exact: nobody else reads what is between, at any of their
    calls, and where a BatchNorm's reader pads nothing. A 1x1 depthwise convolution, which is a scale, folds likewise. A
    `DiagonalIndicator` also folds into several layers that read it, through pooling, a squeeze-excitation and the like.
    An indicator that folds nowhere becomes a 1x1 convolution, a diagonal one a depthwise one (or a `Dense`, an
    `EinsumDense`, on other tensors than maps). The last BatchNorm of a retrieval model's head, which gives
    the embedding, stays a layer, and so does one of globally pooled features that no linear layer makes.

    Args:
        model: functional Keras model or built `Sequential`, with or without gated blocks. Of a retrieval model (a dict
            of outputs with an `embedding`) only the embedding stays.

    Returns:
        A float32 model of stock Keras layers, loadable without this package, that computes the same in inference.
        Models and composite layers inside it are taken apart to their layers.

    Raises:
        UserError: for a model without a graph, or with a layer with weights that its config does not restore.
    """
    graph = embedding_graph(model)
    return graph.replay(_StockCall(graph))


class _StockCall(Copies):
    """Calls the stock counterpart of a layer."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph, dtype="float32")
        self._found, self._folded = foldings(graph)
        self._hosts: dict[int, keras.layers.Layer] = {}
        self._blocks: dict[int, _StockBlock] = {}
        self._indicators: dict[tuple[int, int], keras.layers.Layer] = {}

    def __call__(self, call: Call, *args: Any, **kwargs: Any) -> Any:
        layer = call.operation
        if id(call) in self._folded:
            (inputs,) = (x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, keras.KerasTensor))
            return inputs
        if id(call) in self._found:
            if id(layer) not in self._hosts:
                folding = self._found[id(call)]
                before, after = ([c.operation for c in calls] for calls in (folding.before, folding.after))
                scales = [(indicator.operation, numbers) for indicator, numbers in folding.scales]
                self._hosts[id(layer)] = folded_layer(layer, self.name(layer), before, after, scales)
            return self._hosts[id(layer)](*args, **kwargs)
        if isinstance(layer, (ChannelIndicator, DiagonalIndicator)):
            return self._indicator(layer, args[0])
        if isinstance(layer, GatedBlock):
            if id(layer) not in self._blocks:
                self._blocks[id(layer)] = _StockBlock(layer, self.name(layer))
            return self._blocks[id(layer)](args[0])
        if isinstance(layer, GeneralizedMeanPooling):
            return generalized_mean(args[0], float(layer.p), layer.epsilon)
        return super().__call__(call, *args, **kwargs)

    def copy_of(self, operation: keras.Operation, config: dict[str, Any]) -> keras.Operation:
        if isinstance(operation, FusedBatchNormalization):
            return keras.layers.BatchNormalization.from_config(config)
        return super().copy_of(operation, config)

    def _indicator(self, layer: ChannelIndicator | DiagonalIndicator, inputs: Tensor) -> Tensor:
        key = (id(layer), len(inputs.shape))
        if key not in self._indicators:
            is_first = not any(known == id(layer) for known, _ in self._indicators)
            name = self.name(layer) if is_first else self._free_name(self.name(layer))
            self._indicators[key] = stock_indicator(layer, inputs.shape, name)
        return self._indicators[key](inputs)


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
    after = [unit.bn] if unit.indicator is None else [unit.bn, unit.indicator]
    return [*padding, folded_layer(unit.conv, name, after=after)]
