"""A loss that `keras.Model.compile` takes, as a function of labels and a model's outputs."""

from collections.abc import Callable
from typing import Any

import keras

from keras_cdd.annotations import Tensor
from keras_cdd.models.graph import ends


class TaskLoss:
    """Computes a loss as `keras.Model.fit` does; for several outputs, one loss of all of them.

    For a model with one output, labels and outputs are cast to float32, labels (N,) fit outputs (N, 1), and values per
    image are averaged. For several outputs or outputs in a dict, outputs are cast to float32 and keep their structure,
    and labels are passed as they are.

    Args:
        loss: name of a Keras loss, a `keras.losses.Loss` or a function of labels and outputs.
        model: functional model or built `Sequential`.

    Attributes:
        single: whether the model has one output that is not in a dict.

    Raises:
        ValueError: if it is none of these, the name is unknown, or one is given for several outputs.
    """

    def __init__(self, loss: str | Callable[..., Any], model: keras.Model) -> None:
        outputs = ends(model)[1]
        self.single = not isinstance(outputs, dict) and len(keras.tree.flatten(outputs)) == 1
        if isinstance(loss, str) and not self.single:
            raise ValueError(
                "Argument `loss` must be a function of labels and outputs for a model with several outputs. "
                f"Received: loss={loss!r}"
            )
        self._loss = keras.losses.get(loss)
        if not callable(self._loss):
            raise ValueError(
                "Argument `loss` must be the name of a Keras loss, a `keras.losses.Loss` or a function of labels and "
                f"outputs. Received: loss={loss!r}"
            )
        if self.single and not isinstance(self._loss, keras.losses.Loss):
            self._loss = _LossOfFunction(self._loss)

    def __call__(self, labels: Any, outputs: Any) -> Tensor:
        """The loss, a float32 scalar."""
        if self.single:
            labels, outputs = only(labels), only(outputs)
        else:
            outputs = keras.tree.map_structure(lambda x: keras.ops.cast(x, "float32"), outputs)
        return keras.ops.mean(keras.ops.cast(self._loss(labels, outputs), "float32"))


class _LossOfFunction(keras.losses.Loss):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(name="loss")  # Keras would derive a name that TensorFlow's graphs refuse.
        self._function = function

    def call(self, y_true: Any, y_pred: Tensor) -> Tensor:
        if keras.ops.is_tensor(y_true):
            y_true, y_pred = _of_same_rank(y_true, y_pred)
        return self._function(y_true, y_pred)


def only(structure: Any) -> Any:
    """The tensor of a structure that holds one; other structures unchanged."""
    flat = keras.tree.flatten(structure)
    return flat[0] if len(flat) == 1 else structure


def _of_same_rank(labels: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) and (N, 1) become (N, 1) both, in either order; other shapes are left alone."""
    missing = len(outputs.shape) - len(labels.shape)
    if missing == 1 and outputs.shape[-1] == 1:
        labels = keras.ops.expand_dims(labels, -1)
    if missing == -1 and labels.shape[-1] == 1:
        outputs = keras.ops.expand_dims(outputs, -1)
    return labels, outputs
