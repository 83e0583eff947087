"""Replaces residual blocks of stock layers by gated blocks."""

from typing import Any

import keras

from keras_cdd.errors import UserError
from keras_cdd.layers import GatedBlock
from keras_cdd.models.call import Call
from keras_cdd.models.copies import Copies
from keras_cdd.models.graph import Graph, graph_of
from keras_cdd.models.reasons import in_words
from keras_cdd.models.residual_blocks import ResidualBlock, residual_blocks


def gate_blocks(model: keras.Model, indicators: str) -> keras.Model:
    """`gate_model` with `indicator="blocks"`."""
    graph = graph_of(model)
    blocks, reasons = residual_blocks(graph)
    if not blocks:
        words = in_words(reasons) or "it has no `Add` layer"
        raise UserError(f"`gate_model` finds no residual blocks that it can gate in {model.name}: {words}.")
    return graph.replay(_Gating(graph, blocks, indicators))


class _Gating(Copies):
    """Replaces the last call of every residual block by a gated block."""

    def __init__(self, graph: Graph, blocks: list[ResidualBlock], indicators: str) -> None:
        super().__init__(graph)
        self._indicators = indicators
        self._ends = {id(block.end): block for block in blocks}
        self._inside = {id(call) for block in blocks for call in block.inside}

    def __call__(self, call: Call, *args: Any, **kwargs: Any) -> Any:
        if id(call) in self._inside:
            # Passes the block's input through to the end of the block.
            return keras.tree.flatten(args)[0]
        if id(call) not in self._ends:
            return super().__call__(call, *args, **kwargs)
        block = self._ends[id(call)]
        gated = _gated(block, self._name_of_block(block), self._indicators)
        outputs = gated(args[0], training=block.units[0][1].kwargs.get("training"))
        _copy_weights(block, gated)
        return outputs

    def _name_of_block(self, block: ResidualBlock) -> str:
        """The name of the block's last layer, which is not copied, without a suffix `_out`."""
        last = block.end if self._graph.is_called_once(block.end) else block.add
        name = self.name(last.operation)
        stem = name.removesuffix("_out")
        return name if stem == name else self._free_name(stem)


def _gated(block: ResidualBlock, name: str, indicators: str) -> GatedBlock:
    convs = [conv.operation for conv, _ in block.all_units]
    bn, stride = block.units[0][1].operation, max(block.strides)
    return block.kind(
        block.units[0][0].operation.filters,
        stride=stride,
        indicators=indicators,
        stride_on=list(block.kind.GEOMETRY)[block.strides.index(stride)] if stride > 1 else None,
        use_bias=any(conv.use_bias for conv in convs),
        epsilon=bn.epsilon,
        momentum=bn.momentum,
        trainable=convs[0].trainable,
        dtype=convs[0].dtype_policy,
        name=name,
    )


def _copy_weights(block: ResidualBlock, gated: GatedBlock) -> None:
    units = [*gated.inner, gated.last] + ([] if gated.shortcut is None else [gated.shortcut])
    for unit, (conv_call, bn_call) in zip(units, block.all_units, strict=True):
        conv, bn = conv_call.operation, bn_call.operation
        unit.conv.kernel.assign(conv.kernel)
        if conv.bias is not None:
            unit.conv.bias.assign(conv.bias)
        for name in ("gamma", "beta", "moving_mean", "moving_variance"):
            # Without scale or center, gamma or beta is None; the gated block keeps its initial 1 or 0.
            if getattr(bn, name) is not None:
                getattr(unit.bn, name).assign(getattr(bn, name))
