"""Composite layers, which compute with layers of their own: the functional model inside."""

import contextlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np

from keras_cdd.annotations import Tensor
from keras_cdd.layers import GatedBlock
from keras_cdd.models.visit import like, outputs_of, visit

L = keras.layers
_CLOSED: set[type] = set()


def keep_closed(*classes: type) -> None:
    """Composite layers of these classes are not opened, since something else is known about them."""
    _CLOSED.update(classes)


def opened_composite(
    layer: Any,
    layers_of: Callable[[keras.layers.Layer], Iterable[keras.layers.Layer]],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> keras.Model | None:
    """A plain functional model that computes what a call of a composite layer computes, with the layer's own layers.

    The layer's `call` is traced with symbolic inputs. The model inside leaves `training` to whoever calls it.

    Args:
        layer: any operation; not changed.
        layers_of: gives all layers inside a layer.
        args, kwargs: of the call; only one tensor can be opened, with `training` or nothing beside it.

    Returns:
        The model; None for an operation that is no composite layer, or one that no functional model stands for: it
        has weights that belong to no layer inside, computes with something else than Keras operations, or does more
        with `training` than to hand it on.
    """
    if not _may_be_composite(layer) or not _takes_one_tensor(args, kwargs):
        return None
    try:
        with _other_names(layers_of(layer)):
            inner, *others = (_traced(layer, args[0], training) for training in (None, False, True))
        calls = _calls(inner, None)
        if {id(weight) for call in calls for weight in call[0]} != {id(weight) for weight in layer.weights}:
            return None
        by_value = [_calls(other, training) for other, training in zip(others, (False, True), strict=True)]
        return inner if by_value == [calls, calls] else None
    except Exception:
        # A user's `call` may fail on symbolic tensors in any way. Then nothing is known of what is inside.
        return None


def hands_on(layer: keras.layers.Layer, training: bool | None) -> bool | None:
    """What the layers inside a composite layer must be told; None where the caller's context decides."""
    return None if training is _default_training(layer) else training


def _may_be_composite(layer: Any) -> bool:
    if not isinstance(layer, L.Layer) or isinstance(layer, (keras.Model, GatedBlock, L.Wrapper, L.RNN)):
        return False
    if type(layer) in _CLOSED or type(layer).__module__.startswith("keras.") or not layer.weights:
        return False
    # What a layer does around its `call` would be lost.
    return layer.activity_regularizer is None and not _default_training(layer)


def _default_training(layer: keras.layers.Layer) -> bool | None:
    parameter = inspect.signature(layer.call).parameters.get("training")
    return None if parameter is None or parameter.default is parameter.empty else parameter.default


def _takes_one_tensor(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    others = (value for name, value in kwargs.items() if name != "training")
    return len(args) == 1 and isinstance(args[0], keras.KerasTensor) and all(value is None for value in others)


def _traced(layer: keras.layers.Layer, x: Tensor, training: bool | None) -> keras.Model:
    """The functional model of a layer's `call`, where `training` has a value."""
    image = keras.Input(batch_shape=x.shape, dtype=x.dtype, sparse=x.sparse)
    takes_training = "training" in inspect.signature(layer.call).parameters
    kwargs = {"training": training} if takes_training else {}

    def trace() -> Any:
        is_cast = layer.autocast and "float" in x.dtype and x.dtype != layer.compute_dtype
        return layer.call(keras.ops.cast(image, layer.compute_dtype) if is_cast else image, **kwargs)

    context = _Context(trace)
    context(keras.ops.zeros(()), training=training)
    return keras.Model([image], keras.tree.flatten(context.traced[0]))


@contextlib.contextmanager
def _other_names(layers: Iterable[keras.layers.Layer]) -> Iterator[None]:
    """A functional model has every name once; layers inside a layer may repeat one, or be called as operations are."""
    names = [(layer, layer.name) for layer in layers]
    try:
        for number, (layer, name) in enumerate(names):
            layer.name = f"inner{number}_{name}"
        yield
    finally:
        for layer, name in names:
            layer.name = name


class _Context(keras.layers.Layer):
    """Traces inside a call, so that layers that are not told about `training` get its value from the context."""

    def __init__(self, trace: Callable[[], Any]) -> None:
        super().__init__(autocast=False)
        self._trace = trace
        self.traced: tuple[Any, ...] = ()

    def call(self, anchor: Any, training: bool | None = None) -> Any:
        self.traced = (self._trace(),)
        return anchor


def _calls(model: keras.Model, training: bool | None) -> list[tuple[Any, ...]]:
    """All calls of a functional model, each as (weights, what else there is to compare).

    Raises:
        ValueError: if a call has another value of `training` than its context, computes with a value of the moment, or
            cannot be copied.
    """
    numbers: dict[int, int] = {}
    kept: list[Tensor] = []
    calls: list[tuple[Any, ...]] = []

    def number(x: Tensor) -> int:
        kept.append(x)  # Its id stays taken.
        return numbers.setdefault(id(x), len(numbers))

    def described(x: Any) -> Any:
        if isinstance(x, keras.KerasTensor):
            return f"tensor {number(x)}"
        if keras.ops.is_tensor(x):  # Variables are tensors too.
            raise ValueError("A weight or a value of the moment is no part of a graph.")
        return x.tolist() if isinstance(x, np.ndarray) else x

    def called(operation: keras.Operation, args: Any, kwargs: Any) -> list[Tensor]:
        others = {name: value for name, value in kwargs.items() if name != "training"}
        if not _follows(operation, kwargs.get("training"), training):
            raise ValueError(f"{operation.name} has its own value of `training`.")
        weights = operation.weights if isinstance(operation, L.Layer) else []
        config = {name: value for name, value in operation.get_config().items() if name != "name"}
        leaves = [described(x) for x in keras.tree.flatten((args, others))]
        what = id(operation) if weights else (type(operation), str(config))
        outputs = outputs_of(operation, args, kwargs)
        calls.append((tuple(weights), what, str(keras.tree.map_structure(type, (args, others))), str(leaves)))
        for x in outputs:
            number(x)
        return outputs

    inputs = [like(x) for x in model.inputs]
    for x in inputs:
        number(x)
    calls.append(((), str([numbers[id(x)] for x in visit(model, inputs, called)])))
    return calls


def _follows(operation: keras.Operation, given: bool | None, training: bool | None) -> bool:
    """Whether a call has the value of `training` of its context; without one, layers have their default."""
    if not isinstance(operation, L.Layer) or "training" not in inspect.signature(operation.call).parameters:
        return True
    return not given if training is None else given is training
