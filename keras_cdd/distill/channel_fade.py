"""Fades out the channels of a cut: their indicator entries fall to exact zeros in equal steps during training."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import tensorflow as tf

from keras_cdd.annotations import Tensor
from keras_cdd.distill.part import Part
from keras_cdd.distill.replicas import local


class ChannelFade(Part):
    """After every update, multiplies the leaving entries of the indicators so that they fall linearly to 0.

    Args:
        shapes: site -> (inputs, outputs) of the indicator.

    Attributes:
        leaving: site -> variable (inputs, outputs), 1 for leaving entries, otherwise 0.
        steps_left: scalar variable, steps until the leaving entries are exactly zero; 0 if there are none.
    """

    name = "fade"

    def __init__(self, shapes: Mapping[str, tuple[int, int]]) -> None:
        super().__init__()
        self.leaving = {site: tf.Variable(tf.zeros(shape), trainable=False) for site, shape in shapes.items()}
        self.steps_left = tf.Variable(0.0, trainable=False)

    def own_variables(self) -> dict[str, Any]:
        return {"steps_left": self.steps_left, **self.leaving}

    def cuts_are_over(self) -> None:
        self.finish()

    def cut(self, plan: Any) -> Self:
        slim = self.__class__(
            {site: (len(plan.cuts[site].inputs), len(plan.cuts[site].outputs)) for site in self.leaving}
        )

        def sliced(name: str, array: np.ndarray) -> np.ndarray:
            return plan.sliced(array, name, inputs=0, outputs=1) if name in self.leaving else array

        self._carry(slim, sliced)
        return slim

    def start(self, staying: Mapping[str, np.ndarray], steps: int) -> None:
        """Starts to fade out entries over the next `steps` updates; replaces an unfinished fade.

        Args:
            staying: site -> bool (inputs, outputs), False for entries to fade out; the result of `staying_entries`.
            steps: number of updates, at least 1.
        """
        for site, variable in self.leaving.items():
            variable.assign(~staying[site])
        self.steps_left.assign(steps)

    def after_update(self, kernels: Mapping[str, Any], learning_rate: Tensor) -> None:
        steps_left = local(self.steps_left)
        before = tf.convert_to_tensor(steps_left)
        after = tf.maximum(before - 1.0, 0.0)
        lost = tf.where(before > 0, 1.0 - tf.math.divide_no_nan(after, before), 0.0)
        for site, kernel in kernels.items():
            kernel.assign(kernel * (1.0 - lost * local(self.leaving[site])))
        steps_left.assign(after)
