"""Counts the MACs of one layer call; one MAC is one multiply-add."""

import inspect
import math
from collections.abc import Iterable
from typing import Any

import keras

from keras_cdd.annotations import Tensor
from keras_cdd.layers import ChannelIndicator, DiagonalIndicator, FusedBatchNormalization
from keras_cdd.models.call import Call
from keras_cdd.models.inner_calls import inner_calls
from keras_cdd.models.kinds import CONVOLUTIONS, DEPTHWISE, SEPARABLE, TRANSPOSED

L = keras.layers
_OF_CHANNELS_LAST = (L.Dense, ChannelIndicator, DiagonalIndicator)
_ATTENTION = (L.MultiHeadAttention, L.GroupQueryAttention)
_CELLS = (L.SimpleRNNCell, L.LSTMCell, L.GRUCell)
# Their weights are looked up, or multiply value by value: nothing that papers count.
_WITHOUT_PRODUCTS = (
    L.Embedding,
    L.PReLU,
    L.BatchNormalization,
    L.LayerNormalization,
    L.RMSNormalization,
    L.GroupNormalization,
    L.Normalization,
    FusedBatchNormalization,
)
# Kernel (None for a product of tensors) and how often each of its entries is multiplied.
Use = tuple[keras.Variable | None, int]


def multiply_adds(call: Call) -> int:
    """MACs of a call for one image (or sequence); 0 for operations that are not known, see `uncounted`.

    A transposed convolution applies its whole kernel at every input position, the other convolutions at every output
    position, including padding. A dense layer on a feature map counts at every position, a recurrent layer both kernels
    at every step, an attention its projections and its two products, queries with keys and weights with values.

    Args:
        call: `Call` of any operation.

    Raises:
        ValueError: if the image size, or the number of steps, is open.
    """
    return sum(times if kernel is None else math.prod(kernel.shape) * times for kernel, times in kernel_uses(call))


def kernel_uses(call: Call) -> list[Use]:
    """The products of a call for one image: (kernel, n) where each of its entries counts n times, or (None, MACs).

    Raises:
        ValueError: as `multiply_adds`.
    """
    return [(kernel, n * times) for inner, times in inner_calls(call) for kernel, n in _uses(inner)]


def uncounted(call: Call) -> list[keras.layers.Layer]:
    """The layers of a call that have matrices of weights, but no products that are known."""
    layers = [inner.operation for inner, _ in inner_calls(call) if not _uses(inner)]
    return [layer for layer in layers if _has_matrices(layer) and type(layer) not in _WITHOUT_PRODUCTS]


def _has_matrices(operation: keras.Operation) -> bool:
    return isinstance(operation, L.Layer) and any(len(weight.shape) > 1 for weight in operation.weights)


def _uses(call: Call) -> list[Use]:
    layer = call.operation
    if isinstance(layer, SEPARABLE):
        positions = _positions(call, call.output, layer.data_format)
        return [(layer.depthwise_kernel, positions), (layer.pointwise_kernel, positions)]
    if isinstance(layer, CONVOLUTIONS + DEPTHWISE):
        return [(layer.kernel, _positions(call, call.output, layer.data_format))]
    if isinstance(layer, TRANSPOSED):
        return [(layer.kernel, _positions(call, call.input, layer.data_format))]
    if isinstance(layer, _OF_CHANNELS_LAST):
        return [(layer.kernel, _positions(call, call.output))]
    if isinstance(layer, L.EinsumDense):
        return [(layer.kernel, _product(call, _not_in_kernel(layer.equation, call.input)))]
    if isinstance(layer, _ATTENTION):
        return _of_attention(call)
    if isinstance(layer, L.RNN) and all(type(cell) in _CELLS for cell in _cells(layer)):
        steps = _product(call, call.inputs[0].shape[1:2])
        return [(kernel, steps) for cell in _cells(layer) for kernel in (cell.kernel, cell.recurrent_kernel)]
    return []


def _not_in_kernel(equation: str, x: Tensor) -> list[Any]:
    """Sides of an `EinsumDense`'s input, without the batch, along which its kernel is used again and again."""
    of_input, kernel = equation.split("->")[0].replace(" ", "").split(",")
    others = "." * (len(x.shape) - len(of_input.replace("...", "")))
    letters = of_input.replace("...", others)
    return [side for letter, side in list(zip(letters, x.shape, strict=True))[1:] if letter not in kernel]


def _of_attention(call: Call) -> list[Use]:
    """Vaswani et al., 2017: linear maps of queries, keys, values and outputs, QK' and AV."""
    layer = call.operation
    given = inspect.signature(layer.call).bind(*call.args, **call.kwargs).arguments
    query, value = given["query"], given["value"]
    key = value if given.get("key") is None else given["key"]
    along = {"key": key, "value": value}
    kernels = {weight.path.split("/")[-2]: weight for weight in layer.weights if weight.name == "kernel"}
    uses: list[Use] = [(kernel, _product(call, along.get(name, query).shape[1:-1])) for name, kernel in kernels.items()]
    if isinstance(layer, L.MultiHeadAttention):
        axes, per_pair = layer.attention_axes, layer.num_heads * (layer.key_dim + layer.value_dim)
    else:
        axes, per_pair = (1,), 2 * layer.num_query_heads * layer.head_dim
    keys = _product(call, (key.shape[axis] for axis in axes))
    return [*uses, (None, _product(call, query.shape[1:-1]) * keys * per_pair)]


def _cells(layer: keras.layers.RNN) -> list[keras.layers.Layer]:
    return list(layer.cell.cells) if isinstance(layer.cell, L.StackedRNNCells) else [layer.cell]


def _positions(call: Call, tensor: Tensor, data_format: str = "channels_last") -> int:
    return _product(call, tensor.shape[1:-1] if data_format == "channels_last" else tensor.shape[2:])


def _product(call: Call, sides: Iterable[Any]) -> int:
    sides = tuple(sides)
    if None in sides:
        raise ValueError(
            "Counting needs a fixed image size or number of steps: give the model's Input all its sides. "
            f"Received: {call.operation.name} with shape {tuple(call.inputs[0].shape)}"
        )
    return math.prod(sides)
