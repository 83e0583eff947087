"""Copies of a graph's layers."""

from typing import Any

import keras

from keras_cdd.errors import UserError
from keras_cdd.models.call import Call
from keras_cdd.models.graph import Graph
from keras_cdd.models.restoring import config_of, restored, why_not_restored


class Copies:
    """A function for `Graph.replay` that computes a recorded call with a copy of its layer.

    Every layer is copied once, with its weights, at its first call. What has neither weights nor state and cannot be
    restored from its config, such as a `Lambda` of a Python lambda, is called itself. See `config_of` for what copies
    do not keep of their initializers.

    Args:
        graph: the `Graph` that is replayed.
        dtype: dtype or dtype policy of the copies. Default: that of each layer.

    Raises:
        UserError: when called, for a layer with weights that cannot be restored from its config.
    """

    def __init__(self, graph: Graph, dtype: str | None = None) -> None:
        self._graph = graph
        self._free_name = graph.free_names()
        self._dtype = dtype
        self._made: dict[int, keras.Operation] = {}

    def __call__(self, call: Call, *args: Any, **kwargs: Any) -> Any:
        operation = call.operation
        if id(operation) in self._made:
            return self._made[id(operation)](*args, **kwargs)
        self._made[id(operation)] = copy = self._copy(operation)
        outputs = copy(*args, **kwargs)
        if isinstance(operation, keras.layers.Layer) and operation.weights:
            self.fill(copy, operation)
            if hasattr(copy, "finalize_state"):
                # Normalization keeps the values that it divides by outside its weights.
                copy.finalize_state()
        return outputs

    def name(self, operation: keras.Operation) -> str:
        """The name for an operation's copy: the operation's name, made unique in the graph."""
        return self._graph.names[id(operation)]

    def copy_of(self, operation: keras.Operation, config: dict[str, Any]) -> keras.Operation:
        """Makes the copy, still without weights; `config` contains its name and dtype. Subclasses may override it."""
        return restored(operation, config)

    def fill(self, copy: keras.layers.Layer, operation: keras.layers.Layer) -> None:
        """Gives a copy, built now, its weights."""
        copy.set_weights(operation.get_weights())

    def _copy(self, operation: keras.Operation) -> keras.Operation:
        try:
            config = {**config_of(operation), "name": self.name(operation)}
            if self._dtype is not None and isinstance(operation, keras.layers.Layer):
                config["dtype"] = self._dtype
            return self.copy_of(operation, config)
        except Exception:
            if (reason := why_not_restored(operation)) is None:
                raise
            if not _can_be_shared(operation, self.name(operation)):
                raise UserError(reason) from None
            return operation


def check_copies(graph: Graph) -> None:
    """Raises the error of a layer that cannot be copied, before anything is done.

    Raises:
        UserError: naming the layer and the remedy.
    """
    for operation in graph.operations:
        reason = why_not_restored(operation)
        if reason is not None and not _can_be_shared(operation, graph.names[id(operation)]):
            raise UserError(reason)


def _can_be_shared(operation: keras.Operation, name: str) -> bool:
    """Whether an operation can be called in a second model, which has every name once."""
    return not getattr(operation, "variables", None) and operation.name == name
