"""The walk over the calls of a functional model, which leaves nothing behind."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_cdd.annotations import Tensor


def visit(
    model: keras.Model, inputs: Sequence[Tensor], called: Callable[[keras.Operation, Any, Any], list[Tensor]]
) -> list[Tensor]:
    """Shows every call of a plain functional model, in topological order.

    `clone_model` visits every call, and calls a stand-in instead of the operation itself.

    Args:
        model: plain functional model; gets no new nodes.
        inputs: tensors that stand for the model's.
        called: function `called(operation, args, kwargs)` that gives a new tensor for each output of a call.

    Returns:
        What stands for the model's outputs.
    """
    walked: dict[int, tuple[Tensor, Tensor]] = {}  # Of the walk: id -> (tensor, the one that stands for it).

    def know(tensors: Sequence[Tensor], ours: Sequence[Tensor]) -> None:
        walked.update((id(tensor), (tensor, our)) for tensor, our in zip(tensors, ours, strict=True))

    def ours(x: Any) -> Any:
        return walked[id(x)][1] if isinstance(x, keras.KerasTensor) else x

    def stand_in(operation: keras.Operation, *args: Any, **kwargs: Any) -> Any:
        tensors = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, keras.KerasTensor)]
        outputs = called(operation, *keras.tree.map_structure(ours, (args, kwargs)))
        given = keras.tree.flatten(_StandIn(outputs)(tensors))
        know(given, outputs)
        return given

    heads = [keras.Input(batch_shape=x.shape, dtype=x.dtype, sparse=x.sparse) for x in inputs]
    know(heads, inputs)
    copy = keras.models.clone_model(
        model, input_tensors=heads, clone_function=lambda operation: operation, call_function=stand_in
    )
    return [ours(x) for x in copy.outputs]


def outputs_of(operation: keras.Operation, args: Any, kwargs: Any) -> list[Tensor]:
    """New tensors for the outputs of a call; some operations return their input itself."""
    return [like(x) for x in keras.tree.flatten(operation.compute_output_spec(*args, **kwargs))]


def like(tensor: Tensor) -> Tensor:
    """A new tensor of the same shape, dtype and name that belongs to no Keras graph."""
    return keras.KerasTensor(tensor.shape, tensor.dtype, sparse=tensor.sparse, name=tensor.name)


class _StandIn(keras.Operation):
    """Replaces an operation while a graph is only visited."""

    def __init__(self, specs: Sequence[Tensor]) -> None:
        super().__init__()
        self._specs = specs

    def call(self, inputs: Any) -> Any:
        raise NotImplementedError("A stand-in computes nothing.")

    def compute_output_spec(self, inputs: Any) -> list[Tensor]:
        return [like(x) for x in self._specs]
