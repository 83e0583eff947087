"""Base class of the parts of training, which own the state beside weights and optimizer."""

from collections.abc import Callable, Iterable
from typing import Any, Self

import numpy as np
import tensorflow as tf

from keras_cdd.annotations import Tensor
from keras_cdd.distill.effects import Effects
from keras_cdd.distill.step_record import StepRecord


class Part:
    """A part of training: it takes part in every step and owns its variables.

    A run has the same parts from its first to its last step, so that every checkpoint contains the same variables. A
    part that has nothing left to do calls `finish`, and costs nothing once the step is traced again.

    Attributes:
        name: unique name among the parts of a `Distiller`.
        needs_teacher: whether the part reads the teacher's features; False by default.
        needs_gates: whether the part reads `StepRecord.gate_gradients`; False by default.
        reads_features: names of the sites whose features the part reads in the student's and the teacher's recorder;
            none by default. Those of gated blocks are always there.
    """

    name: str
    needs_teacher = False
    needs_gates = False
    reads_features: Iterable[str] = ()

    def __init__(self) -> None:
        self._finished = tf.Variable(False, trainable=False)

    @property
    def finished(self) -> bool:
        """Whether the part has nothing left to do."""
        return bool(tf.convert_to_tensor(self._finished).numpy())

    def finish(self) -> None:
        """Declares that the part has nothing left to do until the end of training."""
        self._finished.assign(True)

    def variables(self) -> dict[str, Any]:
        """Name -> variable; all state of the part, which a checkpoint saves."""
        return {"finished": self._finished, **self.own_variables()}

    def own_variables(self) -> dict[str, Any]:
        """Name -> variable, without `finished`; empty by default. Subclasses with variables override it."""
        return {}

    def cut(self, plan: Any) -> Self:
        """Returns the part for the slim network after a `SurgeryPlan`; this object is not changed.

        Subclasses whose variables have a channel axis override it. By default it returns the part itself.
        """
        return self

    def observe(self, step: StepRecord) -> None:
        """Called in every step, after the gradients are computed and before the weights are updated."""

    def indicator_gradient(self, site: str, kernel: Tensor, gradient: Tensor, scale: Tensor) -> Tensor:
        """Returns the gradient to use for the indicator of a site; by default the given one.

        Args:
            site: name of the site.
            kernel: indicator kernel, (1, 1, inputs, outputs).
            gradient: its gradient so far, of the same shape, multiplied by `scale`.
            scale: scalar factor of all gradients of the step (loss scale / number of replicas).
        """
        return gradient

    def after_update(self, effects: Effects, learning_rate: Tensor) -> None:
        """Called after the optimizer's update; may change weights in place.

        Args:
            effects: `Effects` of the student; `effects.kernels` are the kernels of its indicators, site -> variable
                (1, 1, rows, channels).
            learning_rate: scalar, the optimizer's learning rate.
        """

    def restart(self) -> None:
        """Called after a cut; discards the evidence that was gathered before it."""

    def cuts_are_over(self) -> None:
        """Called after the last cut; parts that serve only cuts call `finish`."""

    def evidence(self) -> dict[str, Any]:
        """The NumPy values from which `keras_cdd.surgery.importance` computes a score.

        Empty if nothing has been gathered.
        """
        return {}

    def _carry(self, slim: Self, sliced: Callable[[str, np.ndarray], np.ndarray]) -> None:
        """Assigns every variable, cut by `sliced(name, array)`, to the variable of the same name of a slimmer part."""
        values = self.variables()
        for name, variable in slim.variables().items():
            variable.assign(sliced(name, tf.convert_to_tensor(values[name]).numpy()))


def by_name(parts: Iterable[Part], teacher: Any) -> dict[str, Part]:
    """Name -> part.

    Args:
        parts: of a `Distiller`.
        teacher: its teacher, or None.

    Raises:
        ValueError: if two parts have the same name, or if one needs a teacher and there is none.
    """
    named: dict[str, Part] = {}
    for part in parts:
        if part.name in named:
            raise ValueError(f"Parts must have unique names. Received: {part.name!r} twice")
        if part.needs_teacher and teacher is None:
            raise ValueError(f"A {type(part).__name__} needs a teacher. Received: teacher=None")
        named[part.name] = part
    return named
