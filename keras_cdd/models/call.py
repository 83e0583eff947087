"""One call of an operation in the graph of a model."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras

from keras_cdd.annotations import Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """What `Graph` knows of one call. Its tensors are symbolic: they have a static shape and a dtype.

    Attributes:
        operation: what is called, a layer or another Keras operation.
        args, kwargs: what it is called with, tensors of the graph among it.
        outputs: the tensors that it gives, flat.
        path: names of the models inside the model around it, the outermost first.
    """

    operation: keras.Operation
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[Tensor, ...]
    path: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors among the arguments, flat."""
        return tuple(x for x in keras.tree.flatten((self.args, self.kwargs)) if isinstance(x, keras.KerasTensor))

    @property
    def input(self) -> Tensor:
        """The only input. Raises `ValueError` if there are none or several."""
        (tensor,) = self.inputs
        return tensor

    @property
    def output(self) -> Tensor:
        """The only output. Raises `ValueError` if there are none or several."""
        (tensor,) = self.outputs
        return tensor

    def arguments(self, values: Mapping[int, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """`(args, kwargs)` with values in place of tensors, `values` by the `id` of the tensor."""

        def value(x: Any) -> Any:
            return values[id(x)] if isinstance(x, keras.KerasTensor) else x

        return keras.tree.map_structure(value, (self.args, self.kwargs))
