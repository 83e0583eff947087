"""The Fisher score of every gated channel, gathered in the ordinary training step."""

from collections.abc import Mapping
from typing import Any, Self

import tensorflow as tf

from keras_cdd.distill.part import Part
from keras_cdd.distill.step_record import StepRecord


class FisherScore(Part):
    """Sums `(d loss / d gate)^2` over images, a gate being a factor of 1 on a channel after its ReLU.

    Steps that loss scaling leaves out because their gradients overflowed do not count.

    Args:
        channels: site -> number of channels.

    Attributes:
        sums: site -> (channels,) variable.
        images: how many images were summed.
    """

    name = "fisher"
    needs_gates = True

    def __init__(self, channels: Mapping[str, int]) -> None:
        super().__init__()
        self.sums = {
            site: tf.Variable(tf.zeros(width), trainable=False, aggregation=tf.VariableAggregation.SUM)
            for site, width in channels.items()
        }
        self.images = tf.Variable(0.0, trainable=False, aggregation=tf.VariableAggregation.SUM)

    def own_variables(self) -> dict[str, Any]:
        return {"images": self.images, **self.sums}

    def cuts_are_over(self) -> None:
        self.finish()

    def cut(self, plan: Any) -> Self:
        slim = self.__class__({site: len(plan.cuts[site].outputs) for site in self.sums})
        self._carry(slim, lambda name, array: plan.sliced(array, name, outputs=0) if name in self.sums else array)
        return slim

    def observe(self, step: StepRecord) -> None:
        taken = tf.cast(step.taken, tf.float32)
        count = tf.cast(tf.shape(next(iter(step.gate_gradients.values())))[0], tf.float32)
        for site, gradient in step.gate_gradients.items():
            # Times N: the loss is a mean, the score asks for each image's own.
            squares = tf.reduce_sum((gradient * count) ** 2, axis=0)
            self.sums[site].assign_add(tf.where(step.taken, squares, 0.0))
        self.images.assign_add(count * taken)

    def restart(self) -> None:
        for variable in [*self.sums.values(), self.images]:
            variable.assign(tf.zeros_like(variable))

    def evidence(self) -> dict[str, Any]:
        """`sums`: site -> (channels,); `images`: how many were summed. Empty before the first one."""
        if not float(tf.convert_to_tensor(self.images)):
            return {}
        sums = {site: tf.convert_to_tensor(variable).numpy() for site, variable in self.sums.items()}
        return {"sums": sums, "images": float(tf.convert_to_tensor(self.images))}
