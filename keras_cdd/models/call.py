"""One call of an operation in the graph of a model."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras

from keras_cdd.annotations import Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """One call in a `Graph`. Its tensors are symbolic, with a static shape and a dtype.

    Attributes:
        operation: the called layer or other Keras operation.
        args, kwargs: the arguments, which contain tensors of the graph.
        outputs: flat tuple of the output tensors.
        path: names of the nested models and composite layers that contain the call, the outermost first; empty outside.
    """

    operation: keras.Operation
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[Tensor, ...]
    path: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Flat tuple of the tensors among the arguments."""
        return tuple(x for x in keras.tree.flatten((self.args, self.kwargs)) if isinstance(x, keras.KerasTensor))

    @property
    def input(self) -> Tensor:
        """The only input. Raises ValueError if there is none or there are several."""
        (tensor,) = self.inputs
        return tensor

    @property
    def output(self) -> Tensor:
        """The only output. Raises ValueError if there is none or there are several."""
        (tensor,) = self.outputs
        return tensor

    def arguments(self, values: Mapping[int, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns `(args, kwargs)` with every tensor replaced by `values[id(tensor)]`."""

        def value(x: Any) -> Any:
            return values[id(x)] if isinstance(x, keras.KerasTensor) else x

        return keras.tree.map_structure(value, (self.args, self.kwargs))
