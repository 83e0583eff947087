"""Gathers the Fisher score of every gated channel during training."""

from collections.abc import Mapping
from typing import Any, Self

import tensorflow as tf

from keras_cdd.distill.part import Part
from keras_cdd.distill.step_record import StepRecord
from keras_cdd.replicas import local, total


class FisherScore(Part):
    """Sums `(d loss / d gate)^2` over images, where a gate is a factor of 1 on a channel after its ReLU.

    `keras_cdd.surgery.importance.fisher_importance` makes the score from the sums (Molchanov et al., CVPR 2019). Steps
    that the optimizer skips because scaled gradients overflowed are not counted.

    Args:
        channels: site -> number of channels.

    Attributes:
        sums: site -> variable (channels,), sums over images.
        images: scalar variable, number of images in the sums.
    """

    name = "fisher"
    needs_gates = True

    def __init__(self, channels: Mapping[str, int]) -> None:
        super().__init__()
        self.sums = {site: tf.Variable(tf.zeros(width), trainable=False) for site, width in channels.items()}
        self.images = tf.Variable(0.0, trainable=False)

    def own_variables(self) -> dict[str, Any]:
        return {"images": self.images, **self.sums}

    def cuts_are_over(self) -> None:
        self.finish()

    def cut(self, plan: Any) -> Self:
        slim = self.__class__({site: len(plan.cuts[site].outputs) for site in self.sums})
        self._carry(slim, lambda name, array: plan.sliced(array, name, outputs=0) if name in self.sums else array)
        return slim

    def observe(self, step: StepRecord) -> None:
        count = tf.cast(step.images, tf.float32)
        # Times the batch's size, because the loss is a mean over it and the score needs the loss of each image.
        squares = {site: tf.reduce_sum((each * count) ** 2, axis=0) for site, each in step.gate_gradients.items()}
        for site, sums in total(squares).items():
            local(self.sums[site]).assign_add(tf.where(step.taken, sums, 0.0))
        local(self.images).assign_add(tf.where(step.taken, count, 0.0))

    def restart(self) -> None:
        for variable in [*self.sums.values(), self.images]:
            variable.assign(tf.zeros_like(variable))

    def evidence(self) -> dict[str, Any]:
        """Dict of `sums`, site -> (channels,), and `images`, their number; empty before the first counted image."""
        if not float(tf.convert_to_tensor(self.images)):
            return {}
        sums = {site: tf.convert_to_tensor(variable).numpy() for site, variable in self.sums.items()}
        return {"sums": sums, "images": float(tf.convert_to_tensor(self.images))}
