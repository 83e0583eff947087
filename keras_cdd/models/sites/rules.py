"""What layers do to channels: one function a kind of layer, in a table."""

from collections.abc import Callable

import keras
import numpy as np

from keras_cdd.layers import (
    ChannelIndicator,
    DiagonalIndicator,
    FusedBatchNormalization,
    GatedBlock,
    GeneralizedMeanPooling,
)
from keras_cdd.layers.conv_unit import ConvUnit
from keras_cdd.models.call import Call
from keras_cdd.models.composites import keep_closed
from keras_cdd.models.sites.producers import is_behind_its_producer
from keras_cdd.models.sites.walk import Rule, Walk

L = keras.layers
_RULES: dict[type, Rule] = {}


def site_rule(*classes: type) -> Callable[[Rule], Rule]:
    """Registers a rule for layers of one's own, so that surgery reaches through them. They are not opened then.

    The rule stands for exactly these classes: what a subclass computes may be something else. A layer whose `call`
    treats every channel by itself, with a factor a channel, say:

        @keras_cdd.site_rule(MyScale)
        def my_scale(walk, call):
            channels = walk.channels(call.input)
            walk.scale(call.operation, call.operation.factor, 0, channels)
            return channels

    Args:
        *classes: layer classes. They must be rebuilt by their config; an argument that states a width is named with
            `walk.state`.

    Returns:
        A decorator of the rule, `rule(walk, call)`; see `Walk`. A rule stands for layers with one output.
    """

    def register(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(classes, rule))
        keep_closed(*classes)
        return rule

    return register


def rule_of(operation: keras.Operation) -> Rule:
    """The rule of an operation, the one for unknown layers if there is no other."""
    if getattr(operation, "quantization_mode", None) or getattr(operation, "lora_enabled", False):
        return _with_other_weights
    if type(operation) in _RULES:
        return _RULES[type(operation)]
    if isinstance(operation, GatedBlock):
        return _gated_block
    if type(operation).__module__.startswith("keras.") and type(operation).__name__ in _NAMED:
        return _NAMED[type(operation).__name__]
    if isinstance(operation, L.Layer) and operation.weights:
        return _unknown
    return Walk.asked


@site_rule(L.Conv1D, L.Conv2D, L.Conv3D)
def _convolution(walk: Walk, call: Call) -> np.ndarray | str:
    layer, channels = call.operation, walk.channels(call.input)
    if layer.data_format != "channels_last":
        return "channels_first"
    if layer.groups == 1:
        walk.read(layer, layer.kernel, -2, channels)
        return walk.activated(layer, walk.make(layer, layer.kernel, -1, layer.bias, "filters"))
    if layer.groups != len(channels):
        return "a grouped convolution"
    # A depthwise convolution by another name.
    outputs = np.repeat(channels, layer.filters // layer.groups)
    walk.scale(layer, layer.kernel, -1, outputs)
    walk.add(layer, layer.bias, 0, outputs)
    walk.state(layer, "groups", channels)
    walk.state(layer, "filters", outputs)
    return walk.activated(layer, outputs)


@site_rule(L.DepthwiseConv1D, L.DepthwiseConv2D)
def _depthwise(walk: Walk, call: Call) -> np.ndarray | str:
    layer, channels = call.operation, walk.channels(call.input)
    if layer.data_format != "channels_last":
        return "channels_first"
    outputs = np.repeat(channels, layer.depth_multiplier)
    walk.scale(layer, layer.kernel, -2, channels)
    walk.add(layer, layer.bias, 0, outputs)
    return walk.activated(layer, outputs)


@site_rule(L.SeparableConv1D, L.SeparableConv2D)
def _separable(walk: Walk, call: Call) -> np.ndarray | str:
    layer, channels = call.operation, walk.channels(call.input)
    if layer.data_format != "channels_last":
        return "channels_first"
    walk.scale(layer, layer.depthwise_kernel, -2, channels)
    walk.read(layer, layer.pointwise_kernel, -2, np.repeat(channels, layer.depth_multiplier))
    return walk.activated(layer, walk.make(layer, layer.pointwise_kernel, -1, layer.bias, "filters"))


@site_rule(L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose)
def _transposed(walk: Walk, call: Call) -> np.ndarray | str:
    layer = call.operation
    if layer.data_format != "channels_last":
        return "channels_first"
    walk.read(layer, layer.kernel, -1, walk.channels(call.input))
    return walk.activated(layer, walk.make(layer, layer.kernel, -2, layer.bias, "filters"))


@site_rule(L.Dense)
def _dense(walk: Walk, call: Call) -> np.ndarray:
    layer = call.operation
    walk.read(layer, layer.kernel, 0, walk.channels(call.input))
    return walk.activated(layer, walk.make(layer, layer.kernel, 1, layer.bias, "units"))


@site_rule(L.BatchNormalization, FusedBatchNormalization)
def _batch_normalization(walk: Walk, call: Call) -> np.ndarray | str:
    bn, x = call.operation, call.inputs[0]
    if len(call.inputs) > 1 or bn.axis not in (-1, len(x.shape) - 1):
        return "a BatchNormalization over another axis or with a mask"
    _through(walk, bn, bn, walk.channels(x))
    return walk.channels(x)


def _through(walk: Walk, layer: keras.layers.Layer, bn: keras.layers.BatchNormalization, channels: np.ndarray) -> None:
    """Channels pass a BatchNorm that is a layer or a part of one."""
    for factor in (bn.gamma, bn.moving_variance):
        walk.scale(layer, factor, 0, channels)
    for summand in (bn.beta, bn.moving_mean):
        walk.add(layer, summand, 0, channels)


@site_rule(L.PReLU)
def _prelu(walk: Walk, call: Call) -> np.ndarray | str:
    layer, channels = call.operation, walk.channels(call.input)
    if layer.alpha.shape[-1] != len(channels):
        return "a PReLU that shares its slope between channels"
    walk.scale(layer, layer.alpha, -1, channels)
    return channels


@site_rule(GeneralizedMeanPooling)
def _generalized_mean(walk: Walk, call: Call) -> np.ndarray:
    walk.wake(walk.channels(call.input))
    return walk.channels(call.input)


@site_rule(L.Flatten, L.Reshape)
def _reshape(walk: Walk, call: Call) -> np.ndarray | str:
    layer, channels, shape = call.operation, walk.channels(call.input), call.output.shape
    if isinstance(layer, L.Flatten) and layer.data_format != "channels_last" and len(call.input.shape) > 2:
        return "channels_first"
    if not isinstance(shape[-1], int) or len(shape) < 2 or shape[-1] % len(channels) or len(call.input.shape) < 2:
        return f"{type(layer).__name__} takes channels apart"
    # The last axis is the fastest, so channels follow each other in the same order again and again.
    outputs = np.tile(channels, shape[-1] // len(channels))
    if isinstance(layer, L.Reshape) and layer.target_shape[-1] != -1:
        walk.state(layer, "target_shape", outputs)
    return outputs


@site_rule(L.Concatenate)
def _concatenate(walk: Walk, call: Call) -> np.ndarray | str:
    if call.operation.axis not in (-1, len(call.output.shape) - 1):
        return walk.asked(call)
    return np.concatenate([walk.channels(x) for x in call.inputs])


@site_rule(ChannelIndicator)
def _indicator(walk: Walk, call: Call) -> np.ndarray:
    layer, channels = call.operation, walk.channels(call.input)
    walk.state(layer, "input_channels", channels, is_list=True)
    if layer.full_channels is not None and is_behind_its_producer(walk.graph, layer):
        # One site with its producer, whose channels are this one's inputs.
        site = walk.take_over(channels)
        walk.scale(layer, layer.kernel, -2, channels)
        options = {"site": site, "full_channels": layer.full_channels, "inputs": channels, "is_indicator": True}
    else:
        walk.read(layer, layer.kernel, -2, channels)
        options = {}
    outputs = walk.make(layer, layer.kernel, -1, field="kept", **options)
    walk.state(layer, "output_channels", outputs, is_list=True)
    return outputs


@site_rule(DiagonalIndicator)
def _diagonal_indicator(walk: Walk, call: Call) -> np.ndarray:
    layer, channels = call.operation, walk.channels(call.input)
    walk.gate(layer, layer.kernel, channels, layer.full_channels)
    walk.state(layer, "output_channels", channels, is_list=True)
    return channels


def _gated_block(walk: Walk, call: Call) -> np.ndarray:
    """Sites inside, where an indicator stands; the outer width is one of all blocks that the sum joins."""
    block: GatedBlock = call.operation
    _inside_block(walk, block)
    width = block.full_outer_filters
    channels, outputs = walk.channels(call.input), _unit_outputs(walk, block, block.last, width)
    walk.read(block, block.inner[0].conv.kernel, 2, channels)
    if block.shortcut is None:
        walk.join(outputs, channels)
    else:
        walk.read(block, block.shortcut.conv.kernel, 2, channels)
        walk.join(outputs, _unit_outputs(walk, block, block.shortcut, width))
    walk.state(block, "outer_filters", outputs)
    return outputs


def _unit_outputs(walk: Walk, block: GatedBlock, unit: ConvUnit, full_channels: int) -> np.ndarray:
    """What a convolution of a block makes with its BatchNorm, without an indicator."""
    site = f"{walk.name(block)}/{unit.name}"
    outputs = walk.make(block, unit.conv.kernel, 3, unit.conv.bias, site=site, full_channels=full_channels)
    _through(walk, block, unit.bn, outputs)
    return outputs


def _inside_block(walk: Walk, block: GatedBlock) -> None:
    for unit, after in zip(block.inner, [*block.inner[1:], block.last], strict=True):
        if unit.indicator is None or (id(unit.conv.kernel), 3) in walk.axes:
            continue
        indicated = _densely_indicated if isinstance(unit.indicator, ChannelIndicator) else _diagonally_indicated
        outputs = indicated(walk, block, unit)
        walk.read(block, after.conv.kernel, 2, outputs)


def _densely_indicated(walk: Walk, block: GatedBlock, unit: ConvUnit) -> np.ndarray:
    inputs = walk.labels.fresh(unit.conv.kernel.shape[3])
    walk.scale(block, unit.conv.kernel, 3, inputs)
    for vector in [*unit.conv.weights[1:], *unit.bn.weights]:
        walk.scale(block, vector, 0, inputs)
    kernel, site = unit.indicator.kernel, f"{walk.name(block)}/{unit.name}"
    walk.scale(block, kernel, 2, inputs)
    return walk.make(block, kernel, 3, site=site, full_channels=block.filters, inputs=inputs, is_indicator=True)


def _diagonally_indicated(walk: Walk, block: GatedBlock, unit: ConvUnit) -> np.ndarray:
    outputs = _unit_outputs(walk, block, unit, block.filters)
    walk.gate(block, unit.indicator.kernel, outputs, block.filters)
    return outputs


def _layer_scale(walk: Walk, call: Call) -> np.ndarray:
    layer, channels = call.operation, walk.channels(call.input)
    walk.scale(layer, layer.gamma, 0, channels)
    walk.state(layer, "projection_dim", channels)
    return channels


def _normalizes_over_channels(walk: Walk, call: Call) -> str:
    return f"{type(call.operation).__name__} computes with all channels together"


for _kind in (L.LayerNormalization, L.GroupNormalization, L.RMSNormalization):
    site_rule(_kind)(_normalizes_over_channels)


@site_rule(L.Normalization)
def _normalization(walk: Walk, call: Call) -> str:
    return "Normalization keeps its statistics"


def _unknown(walk: Walk, call: Call) -> str:
    return f"{type(call.operation).__name__} has weights and no rule (see `keras_cdd.site_rule`)"


def _with_other_weights(walk: Walk, call: Call) -> str:
    return f"{walk.name(call.operation)} is quantized or has LoRA weights"


# Of keras.applications' ConvNeXt and of `keras.ops`, by name: the classes are not public.
_NAMED: dict[str, Rule] = {"LayerScale": _layer_scale, "Concatenate": _concatenate}
