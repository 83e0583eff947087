"""Gates an existing residual network of stock Keras layers."""

import dataclasses
from typing import Any

import keras

from keras_cdd.annotations import Tensor
from keras_cdd.layers import GatedBasicBlock, GatedBlock, GatedBottleneck
from keras_cdd.models.graph import functional_graph

L = keras.layers


def gate_model(model: keras.Model, indicators: str = "conv2") -> keras.Model:
    """Replaces the residual blocks of a functional Keras model by gated ones with the same weights.

    A block is `conv1x1-BN-ReLU, conv3x3-BN-ReLU, conv1x1-BN, + shortcut, ReLU` (four times as wide outside as inside)
    or `conv3x3-BN-ReLU, conv3x3-BN, + shortcut, ReLU`, as in `keras.applications.ResNet50`, be it in a model inside the
    model. All other layers stay.

    Args:
        model: functional model, or a built `Sequential`; stays untouched.
        indicators: "conv2", "both" or "none" (the same blocks without indicators: a teacher for such a student).

    Returns:
        A new model with the same outputs.

    Raises:
        ValueError: if no residual block is found.
    """
    found = {}
    for layer in model._flatten_layers():
        if isinstance(layer, L.Add) and (block := _match(layer)) is not None:
            found[id(block.end)] = block
    if not found:
        raise ValueError(
            "`gate_model` needs residual blocks of convolution, BatchNormalization and ReLU layers. "
            f"Received: {model.name}, in which there are none"
        )
    inside = {id(layer) for block in found.values() for layer in block.layers}
    copies: dict[int, keras.layers.Layer] = {}

    def cloned(graph: keras.Model) -> keras.Model:
        return keras.models.clone_model(graph, clone_function=lambda layer: layer, call_function=call)

    def call(layer: keras.Operation, *args: Any, **kwargs: Any) -> Tensor:
        if id(layer) in found:
            return _gated(found[id(layer)], args[0], indicators)
        if id(layer) in inside:
            # What lies inside a block hands its input on, so that the block's end gets the block's input.
            return keras.tree.flatten(args)[0]
        if not isinstance(layer, L.Layer):
            return layer(*args, **kwargs)
        if id(layer) not in copies and (graph := functional_graph(layer)) is not None:
            copies[id(layer)] = cloned(graph)
        if id(layer) not in copies:
            copies[id(layer)] = layer.__class__.from_config(layer.get_config())
            outputs = copies[id(layer)](*args, **kwargs)
            copies[id(layer)].set_weights(layer.get_weights())
            return outputs
        return copies[id(layer)](*args, **kwargs)

    return cloned(functional_graph(model) or model)


def with_indicators(model: keras.Model, indicators: str) -> keras.Model:
    """The same architecture with other indicators, freshly initialised: a heavy student for a plain teacher.

    Args:
        model: functional model of uncut gated blocks.
        indicators: "conv2", "both" or "none".
    """

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if isinstance(layer, GatedBlock):
            config |= {"indicators": indicators, "kept_filters": None, "kept_channels": None}
        return layer.__class__.from_config(config)

    return keras.models.clone_model(model, clone_function=clone, recursive=True)


@dataclasses.dataclass
class _Found:
    """A residual block in somebody's graph: its convolutions with their BatchNorms, and where it ends."""

    units: list
    shortcut: tuple | None
    end: keras.layers.Layer
    layers: list


def _match(add: keras.layers.Layer) -> _Found | None:
    """The residual block that an `Add` closes, or None."""
    end = _consumer(add)
    if not _is_relu(end):
        return None
    for main, side in (add.input, add.input[::-1]):
        for sizes in ((1, 3, 1), (3, 3)):
            chain = _chain(main, sizes)
            if chain is None:
                continue
            units, layers, start = chain
            if start is side:
                return _Found(units, None, end, [*layers, add])
            shortcut = _chain(side, (1,))
            if shortcut is not None and shortcut[2] is start:
                return _Found(units, shortcut[0][0], end, [*layers, *shortcut[1], add])
    return None


def _chain(tensor: Tensor, sizes: tuple[int, ...]) -> tuple[list, list, Tensor] | None:
    """Walks back over `conv-BN`, with ReLUs between, of the given kernel sizes: (units, layers, input), or None."""
    units: list[tuple] = []
    layers: list[keras.layers.Layer] = []
    for size in reversed(sizes):
        if units:
            relu = tensor._keras_history.operation
            if not _is_relu(relu) or _consumer(relu) is None:
                return None
            layers.append(relu)
            tensor = relu.input
        bn = tensor._keras_history.operation
        conv: Any = bn.input._keras_history.operation if isinstance(bn, L.BatchNormalization) else None
        if not _fits(conv, size) or _consumer(conv) is not bn or _consumer(bn) is None:
            return None
        units.insert(0, (conv, bn))
        layers += [bn, conv]
        tensor = conv.input
    return units, layers, tensor


def _fits(conv: Any, size: int) -> bool:
    if not isinstance(conv, L.Conv2D) or conv.kernel_size != (size, size):
        return False
    # "same" with a stride pads one side only, which a gated block does not do.
    symmetric = conv.padding == "same" and conv.strides == (1, 1) or size == 1
    return symmetric and conv.groups == 1 and conv.activation is keras.activations.linear


def _consumer(layer: keras.layers.Layer) -> Any:
    """The only layer that takes this one's output, or None."""
    if len(layer._outbound_nodes) != 1 or len(layer._inbound_nodes) != 1:
        return None
    return layer._outbound_nodes[0].operation


def _is_relu(layer: Any) -> bool:
    if isinstance(layer, L.Activation):
        return layer.activation is keras.activations.relu
    return isinstance(layer, L.ReLU) and layer.max_value is None and not layer.negative_slope and not layer.threshold


def _gated(found: _Found, x: Tensor, indicators: str) -> Tensor:
    (first, bn), last = found.units[0], found.units[-1][0]
    kind = GatedBottleneck if len(found.units) == 3 else GatedBasicBlock
    filters = last.filters // kind.EXPANSION
    strides = [conv.strides[0] for conv, _ in found.units]
    block = kind(
        filters,
        stride=max(strides),
        indicators=indicators,
        stride_on=f"conv{strides.index(max(strides)) + 1}" if max(strides) > 1 else None,
        use_bias=first.use_bias,
        epsilon=bn.epsilon,
        momentum=bn.momentum,
        name=found.end.name.removesuffix("_out"),
    )
    outputs = block(x)
    ours = [*block.inner, block.last, *([block.shortcut] if block.shortcut is not None else [])]
    theirs = [*found.units, *([found.shortcut] if found.shortcut is not None else [])]
    for unit, (conv, bn) in zip(ours, theirs, strict=True):
        unit.conv.set_weights(conv.get_weights())
        for name in ("gamma", "beta", "moving_mean", "moving_variance"):
            # Without scale or center there is no gamma or beta: 1 and 0, as ours start.
            if getattr(bn, name) is not None:
                getattr(unit.bn, name).assign(getattr(bn, name))
    return outputs
