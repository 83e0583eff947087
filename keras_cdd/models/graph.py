"""The graph of a Keras model: which call produces and which calls take a tensor.

This is the only module that uses private attributes of Keras.
"""

import collections
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from keras_cdd.annotations import Tensor
from keras_cdd.errors import UserError
from keras_cdd.models.call import Call
from keras_cdd.models.composites import hands_on, opened_composite
from keras_cdd.models.free_names import FreeNames
from keras_cdd.models.visit import like, outputs_of, visit


class Graph:
    """The calls of a functional model or built `Sequential`, at the time of the first `graph_of`.

    Nested functional models, `Sequential`s and composite layers (see `opened_composite`) are expanded: each of their
    calls is replaced by the calls inside them. The model gets no new nodes (layers inside composite layers do), and
    calls of its layers outside the model are ignored.

    Attributes:
        name: name of the model.
        inputs, outputs: symbolic tensors in the structure of `model.input` and `model.output`.
        calls: list of all `Call`s in topological order.
        names: id of an operation -> its name, made unique if nested models repeat a name.
    """

    def __init__(self, name: str, inputs: Any, outputs: Any) -> None:
        self.name = name
        self.calls: list[Call] = []
        self.inputs = keras.tree.map_structure(like, inputs)
        outer = keras.Model(keras.tree.flatten(inputs), keras.tree.flatten(outputs))
        flat_outputs = self._record(outer, keras.tree.flatten(self.inputs), (), None)
        self.outputs = keras.tree.pack_sequence_as(outputs, flat_outputs)
        self._output_ids = set(map(id, flat_outputs))
        self._producers = {id(tensor): call for call in self.calls for tensor in call.outputs}
        self._takers = collections.defaultdict(list)
        for call in self.calls:
            for key in dict.fromkeys(map(id, call.inputs)):
                self._takers[key].append(call)
        self._calls_of = collections.defaultdict(list)
        for call in self.calls:
            self._calls_of[id(call.operation)].append(call)
        self.names: dict[int, str] = {}
        free_name = self.free_names()
        # What has weights has its name first: operations in the `call` of a composite layer are new each time.
        for call in sorted(self.calls, key=lambda call: not getattr(call.operation, "weights", None)):
            if id(call.operation) not in self.names:
                self.names[id(call.operation)] = free_name(call.operation.name, call.path)

    @property
    def operations(self) -> list[keras.Operation]:
        """List of all called operations, each once."""
        return list({id(call.operation): call.operation for call in self.calls}.values())

    def producer(self, tensor: Tensor) -> Call | None:
        """The call that produces a tensor; None for an input of the model."""
        return self._producers.get(id(tensor))

    def takers(self, tensor: Tensor) -> Sequence[Call]:
        """The calls that take a tensor, each once. Whether the model outputs the tensor is told by `is_output`."""
        return self._takers.get(id(tensor), ())

    def is_output(self, tensor: Tensor) -> bool:
        return id(tensor) in self._output_ids

    def only_taker(self, call: Call) -> Call | None:
        """The only call that takes the only output of `call`; None if there are others or the model outputs it."""
        if len(call.outputs) != 1 or self.is_output(call.output) or len(self.takers(call.output)) != 1:
            return None
        return self.takers(call.output)[0]

    def calls_of(self, operation: keras.Operation) -> Sequence[Call]:
        """All calls of an operation, in order."""
        return self._calls_of.get(id(operation), ())

    def is_called_once(self, call: Call) -> bool:
        return len(self.calls_of(call.operation)) == 1

    def free_names(self) -> FreeNames:
        """Gives names that nothing in the graph has, each once."""
        return FreeNames([*(tensor.name for tensor in keras.tree.flatten(self.inputs)), *self.names.values()])

    def replay(self, call: Callable[..., Any]) -> keras.Model:
        """Makes a new functional model with the same inputs, outputs and name.

        Args:
            call: function `call(recorded, *args, **kwargs)` that replaces a recorded `Call`: it takes the new symbolic
                tensors and returns as many as the recorded call. `Copies` calls a copy of the layer; a function that
                calls the original layer shares its weights.
        """
        inputs = keras.tree.map_structure(
            lambda x: keras.Input(batch_shape=x.shape, dtype=x.dtype, sparse=x.sparse, name=x.name), self.inputs
        )
        return keras.Model(inputs, self.run(inputs, call), name=self.name)

    def run(self, inputs: Any, call: Callable[..., Any]) -> Any:
        """Computes the outputs from inputs, symbolic tensors or values, in the structure of the model's.

        Args:
            inputs: in the structure of `Graph.inputs`.
            call: as in `replay`.
        """
        values = dict(zip(map(id, keras.tree.flatten(self.inputs)), keras.tree.flatten(inputs), strict=True))
        for recorded in self.calls:
            args, kwargs = recorded.arguments(values)
            given = keras.tree.flatten(call(recorded, *args, **kwargs))
            values.update(zip(map(id, recorded.outputs), given, strict=True))
        return keras.tree.map_structure(lambda x: values[id(x)], self.outputs)

    def _record(
        self, model: keras.Model, inputs: Sequence[Tensor], path: tuple[str, ...], training: bool | None
    ) -> list[Tensor]:
        """Records the calls of a plain functional model; takes and returns tensors of this graph."""
        return visit(
            model, inputs, lambda operation, args, kwargs: self._called(operation, args, kwargs, path, training)
        )

    def _called(
        self, operation: keras.Operation, args: Any, kwargs: Any, path: tuple[str, ...], training: bool | None
    ) -> list[Tensor]:
        if training is not None and "training" in inspect.signature(operation.call).parameters:
            kwargs = {**kwargs, "training": training}
        if (inner := _opened(operation)) is not None:
            training = kwargs.get("training")
            return self._record(inner, keras.tree.flatten(args), (*path, operation.name), training)
        if (inner := opened_composite(operation, all_layers, args, kwargs)) is not None:
            training = hands_on(operation, kwargs.get("training")) if training is None else training
            return self._record(inner, keras.tree.flatten(args), (*path, operation.name), training)
        outputs = outputs_of(operation, args, kwargs)
        self.calls.append(Call(operation, args, kwargs, tuple(outputs), path))
        return outputs


def graph_of(model: keras.Model) -> Graph:
    """The `Graph` of a functional model or built `Sequential`; the same one for the same model.

    A `Sequential` with a new layer has a new graph; other changes of a model after the first call are not seen.

    Raises:
        ValueError: if `model` is no model.
        UserError: if the model has no graph: a subclass of `keras.Model` with its own `call`, or a `Sequential` without
            an input shape.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(
            "Argument `model` must be a functional Keras model or a built `Sequential`, such as "
            f"`keras.saving.load_model` reads from a file. Received: model={model!r}"
        )
    if not has_graph(model):
        raise UserError(
            "A functional model or a built `Sequential` is needed, since others have no graph to look at. "
            f"Received: {model.name} of class {type(model).__name__}"
        )
    return _recorded(model, *ends(model))


def embedding_graph(model: keras.Model) -> Graph:
    """The `Graph` of the calls that a model's `embedding` depends on.

    If the outputs are not a dict with an `embedding`, it is the graph of the whole model.

    Raises:
        UserError: if the model has no graph.
    """
    graph = graph_of(model)
    if not isinstance(graph.outputs, dict) or "embedding" not in graph.outputs:
        return graph
    inputs, outputs = ends(model)
    return _recorded(model, inputs, {"embedding": outputs["embedding"]})


def _recorded(model: keras.Model, inputs: Any, outputs: Any) -> Graph:
    """Records a graph once: recording takes a good part of the time of finding sites, and surgery asks for it often."""
    inner = [layer for layer in all_layers(model) if isinstance(layer, keras.Model) and hasattr(layer, "inputs")]
    # A `Sequential` has new tensors once a layer is added. An entry keeps its tensors, so their ids stay taken.
    tensors = keras.tree.flatten((inputs, outputs, [(one.inputs, one.outputs) for one in inner if one.inputs]))
    key = (model.name, *map(id, tensors))
    known = vars(model).setdefault("_keras_cdd_graphs", {})
    if key not in known:
        known[key] = (tensors, Graph(model.name, inputs, outputs))
    return known[key][1]


def has_graph(model: keras.Model) -> bool:
    """Whether a model has a graph that `graph_of` can read."""
    return _opened(model) is not None


def all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """All layers of any model, including layers inside layers, each once."""
    # Keras has no public list of the layers inside a custom layer.
    return model._flatten_layers(include_self=False)


def place_in_optimizer(optimizer: keras.optimizers.Optimizer, variable: Tensor) -> int:
    """The position of the variable that `update_step` gets among those that the optimizer was built for."""
    # Keras's optimizers look up their slots so; with several devices there is no public way.
    return optimizer._get_variable_index(variable)


class IsBuilt:
    """Goes before `keras.Model` in the bases of a model whose layers are built: `fit` computes nothing to build them.

    Under a strategy Keras would average the images of all replicas for that, which fails with several workers.
    """

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        return


def ends(model: keras.Model) -> tuple[Any, Any]:
    """Inputs and outputs in the structure in which a call of the model takes and returns them."""
    if not isinstance(model, keras.Sequential):
        return model.input, model.output
    # `input` and `output` of a `Sequential` belong to its calls, not to its own graph.
    return model.inputs[0], model.outputs[0] if len(model.outputs) == 1 else model.outputs


def _opened(operation: Any) -> keras.Model | None:
    """A plain functional model with the graph of a model; None if it has no graph or its own `call`."""
    if not isinstance(operation, keras.Model) or not hasattr(operation, "inputs") or not operation.inputs:
        return None
    plain = keras.Model(operation.inputs, operation.outputs)
    computes_its_graph = type(operation).call in (type(plain).call, keras.Sequential.call)
    return plain if computes_its_graph else None
