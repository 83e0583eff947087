"""Parameters and multiply-adds, counted as the field states them: conv and dense layers of the deployed form."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from keras_cdd.annotations import Tensor
from keras_cdd.layers import ConvShape, GatedBlock
from keras_cdd.models.graph import functional_graph

STATISTICS = ("moving_mean", "moving_variance", "seed_generator_state")


@dataclasses.dataclass(frozen=True)
class CostModel:
    """What a network costs, as a function of the widths that surgery may change.

    Attributes:
        fixed_params, fixed_macs: of everything outside the gated blocks.
        shapes: the convolutions of the gated blocks.
        widths: site -> channels kept now.
        full_widths: site -> channels of the uncut network.
    """

    fixed_params: int
    fixed_macs: int
    shapes: tuple[ConvShape, ...]
    widths: dict[str, int]
    full_widths: dict[str, int]

    def params(self, widths: Mapping[str, int] | None = None) -> int:
        return self.fixed_params + sum(shape.params(widths or self.widths) for shape in self.shapes)

    def macs(self, widths: Mapping[str, int] | None = None) -> int:
        return self.fixed_macs + sum(shape.macs(widths or self.widths) for shape in self.shapes)


def cost_model(model: keras.Model, classifier: bool = False) -> CostModel:
    """The `CostModel` of a functional Keras model in deployed form.

    A convolution counts with one bias a channel in place of its BatchNorm, an indicator with none at all (it fuses into
    the convolution before it). If the model's outputs are a dict with an `embedding`, only what leads there counts,
    unless `classifier` is True.
    """
    fixed_params = fixed_macs = 0
    shapes, widths, full_widths = [], {}, {}
    for layer in _layers_that_count(model, classifier):
        if isinstance(layer, GatedBlock):
            shapes += layer.conv_shapes()
            for site, unit in layer.gated_units.items():
                widths[site], full_widths[site] = unit.indicator.kept, layer.filters
        else:
            fixed_params += _deployed_params(layer)
            fixed_macs += _macs(layer)
    return CostModel(fixed_params, fixed_macs, tuple(shapes), widths, full_widths)


def count_macs(model: keras.Model, deployed: bool = True, classifier: bool = False) -> int:
    """Multiply-adds of one image through the convolutions and dense layers.

    Args:
        model: a functional Keras model on a fixed image size.
        deployed: count the fused form; False counts the indicators too, as the training form computes them.
        classifier: also count what leads to `logits` only.
    """
    macs = cost_model(model, classifier).macs()
    return macs if deployed else macs + _indicator_macs(model, classifier)


def count_params(model: keras.Model, deployed: bool = True, classifier: bool = False) -> int:
    """Parameters, frozen or not; arguments as in `count_macs`. BatchNorm counts scale and shift, no statistics."""
    if deployed:
        return cost_model(model, classifier).params()
    return sum(_num_params(layer) for layer in _layers_that_count(model, classifier))


def _indicator_macs(model: keras.Model, classifier: bool) -> int:
    """What indicators, and filters that only indicators drop, cost beyond the deployed form."""
    extra = 0
    for layer in _layers_that_count(model, classifier):
        if not isinstance(layer, GatedBlock):
            continue
        for shape, unit in zip(layer.conv_shapes(), layer.inner, strict=False):
            if unit.indicator is not None:
                inputs, outputs = unit.indicator.kernel.shape[2:]
                dropped = shape.area * unit.conv.kernel.shape[2] * (inputs - outputs)
                extra += shape.positions * (inputs * outputs + dropped)
    return extra


def _layers_that_count(model: keras.Model, classifier: bool) -> Iterator[keras.layers.Layer]:
    model = functional_graph(model) or model
    outputs = model.output
    if classifier or not isinstance(outputs, dict) or "embedding" not in outputs:
        operations = model.operations
    else:
        operations = _leading_to(outputs["embedding"])
    for operation in operations:
        if isinstance(operation, keras.Model):
            yield from _layers_that_count(operation, classifier)
        elif isinstance(operation, keras.layers.Layer):
            yield operation


def _leading_to(tensor: Tensor) -> list[keras.Operation]:
    """The operations of a functional graph on which a tensor depends, each once."""
    found, waiting = {}, [tensor]
    while waiting:
        operation, node_index, _ = waiting.pop()._keras_history
        if id(operation) not in found:
            found[id(operation)] = operation
            waiting += operation._inbound_nodes[node_index].input_tensors
    return list(found.values())


def _num_params(layer: keras.layers.Layer) -> int:
    return sum(int(keras.ops.size(weight)) for weight in layer.weights if weight.name not in STATISTICS)


def _deployed_params(layer: keras.layers.Layer) -> int:
    params = _num_params(layer)
    if isinstance(layer, keras.layers.Conv2D) and not layer.use_bias and fused_bn(layer) is not None:
        return params + layer.filters
    if isinstance(layer, keras.layers.BatchNormalization):
        producer = layer.input._keras_history.operation
        return 0 if isinstance(producer, keras.layers.Conv2D) and fused_bn(producer) is layer else params
    return params


def fused_bn(conv: keras.layers.Conv2D) -> keras.layers.BatchNormalization | None:
    """The BatchNorm that folds into a convolution: the only taker of its linear output. None if there is none."""
    if len(conv._outbound_nodes) != 1 or len(conv._inbound_nodes) != 1 or conv.groups > 1:
        return None
    bn = conv._outbound_nodes[0].operation
    folds = isinstance(bn, keras.layers.BatchNormalization) and len(bn._inbound_nodes) == 1
    return bn if folds and conv.activation is keras.activations.linear else None


def _macs(layer: keras.layers.Layer) -> int:
    if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
        kernel = int(keras.ops.size(layer.kernel))
        return sum(kernel * _positions(node) for node in layer._inbound_nodes)
    if isinstance(layer, keras.layers.Dense):
        return int(keras.ops.size(layer.kernel)) * len(layer._inbound_nodes)
    return 0


def _positions(node: Any) -> int:
    _, height, width, _ = node.output_tensors[0].shape
    if height is None or width is None:
        raise ValueError(
            "Counting needs a fixed image size: give the model's Input a height and a width. "
            f"Received: {node.operation.name} with output shape {node.output_tensors[0].shape}"
        )
    return height * width
