"""Copies of a graph's layers."""

from typing import Any

import keras

from keras_cdd.models.call import Call
from keras_cdd.models.graph import Graph


class Copies:
    """A function for `Graph.replay` that computes a recorded call with a copy of its layer.

    Every layer is copied once, with its weights, at its first call.

    Args:
        graph: the `Graph` that is replayed.
        dtype: dtype or dtype policy of the copies. Default: that of each layer.
    """

    def __init__(self, graph: Graph, dtype: str | None = None) -> None:
        self._graph = graph
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
        return operation.__class__.from_config(config)

    def fill(self, copy: keras.layers.Layer, operation: keras.layers.Layer) -> None:
        """Gives a copy, built now, its weights."""
        copy.set_weights(operation.get_weights())

    def _copy(self, operation: keras.Operation) -> keras.Operation:
        try:
            config = {**operation.get_config(), "name": self.name(operation)}
        except NotImplementedError:
            if isinstance(operation, keras.layers.Layer):
                raise
            return operation  # It has neither weights nor state, so it can be shared.
        if self._dtype is not None and isinstance(operation, keras.layers.Layer):
            config["dtype"] = self._dtype
        return self.copy_of(operation, config)
