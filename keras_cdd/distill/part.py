"""What training remembers beside weights and optimizer."""

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import tensorflow as tf

from keras_cdd.annotations import Tensor
from keras_cdd.distill.step_record import StepRecord


class Part:
    """A part of training that takes part in every step and owns what it remembers.

    A run has the same parts from its first to its last step, so that every checkpoint holds the same variables. A part
    that has nothing left to do says so by `finish` and costs nothing from the next traced step on.

    Attributes:
        name: unique among the parts of a `Distiller`.
        needs_teacher: whether it reads what the teacher computes.
        needs_gates: whether it reads `StepRecord.gate_gradients`.
    """

    name: str
    needs_teacher = False
    needs_gates = False

    def __init__(self) -> None:
        self._finished = tf.Variable(False, trainable=False)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return bool(tf.convert_to_tensor(self._finished).numpy())

    def finish(self) -> None:
        """Nothing is left to do until the end of training."""
        self._finished.assign(True)

    def variables(self) -> dict[str, Any]:
        """Name -> variable of all that it remembers; what a checkpoint keeps."""
        return {"finished": self._finished, **self.own_variables()}

    def own_variables(self) -> dict[str, Any]:
        """Name -> variable, without `finished`; none by default."""
        return {}

    def cut(self, plan: Any) -> Self:
        """The same part for the network that a `SurgeryPlan` leaves; this one stays as it is.

        Subclasses whose variables run over channels override it; by default the part goes on as it is.
        """
        return self

    def observe(self, step: StepRecord) -> None:
        """Sees a step after its gradients are known and before the weights change."""

    def indicator_gradient(self, site: str, kernel: Tensor, gradient: Tensor, scale: Tensor) -> Tensor:
        """The gradient that the indicator of a site shall follow instead.

        Args:
            site: name.
            kernel, gradient: (1, 1, inputs, outputs).
            scale: factor that all gradients of the step carry (loss scaling, replicas).
        """
        return gradient

    def after_update(self, kernels: Mapping[str, Any], learning_rate: Tensor) -> None:
        """Changes site -> indicator kernel variables in place, after the optimizer has."""

    def restart(self) -> None:
        """Forgets what it knew of the network before a cut."""

    def cuts_are_over(self) -> None:
        """The last cut has been made; a part that serves cuts alone has finished."""

    def evidence(self) -> dict[str, Any]:
        """What an importance score is computed from, as NumPy values; see `keras_cdd.surgery.importance`.

        Empty as long as nothing has been gathered.
        """
        return {}

    def _carry(self, slim: Self, sliced: Callable[[str, np.ndarray], np.ndarray]) -> None:
        """Gives every variable to the same one of a slimmer part, through `sliced(name, array)`."""
        values = self.variables()
        for name, variable in slim.variables().items():
            variable.assign(sliced(name, tf.convert_to_tensor(values[name]).numpy()))
