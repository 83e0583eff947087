"""The Fisher score of every gated channel, gathered in the ordinary training step."""

import tensorflow as tf


class FisherScore:
    """Sums `(d loss / d gate)^2` over images, a gate being a factor of 1 on a channel after its ReLU.

    Args:
        channels: site -> number of channels.

    Attributes:
        sums: site -> (channels,) variable.
        images: how many images were summed.
    """

    def __init__(self, channels):
        self.sums = {
            site: tf.Variable(tf.zeros(width), trainable=False, aggregation=tf.VariableAggregation.SUM)
            for site, width in channels.items()
        }
        self.images = tf.Variable(0.0, trainable=False, aggregation=tf.VariableAggregation.SUM)

    def update(self, gate_gradients):
        """Adds site -> (N, channels) gradients of the batch's mean loss."""
        count = tf.cast(tf.shape(next(iter(gate_gradients.values())))[0], tf.float32)
        for site, gradient in gate_gradients.items():
            # Times N: the loss is a mean, the score asks for each image's own.
            self.sums[site].assign_add(tf.reduce_sum((gradient * count) ** 2, axis=0))
        self.images.assign_add(count)

    def restart(self):
        """Forgets everything: after a cut, the scores of before say nothing."""
        for variable in [*self.sums.values(), self.images]:
            variable.assign(tf.zeros_like(variable))
