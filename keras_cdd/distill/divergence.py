"""Notices when training diverges."""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from keras_cdd.annotations import Tensor


class Divergence:
    """Notes the first step in which a loss was not finite, without waiting for the device.

    Args:
        names: names of the losses.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        first = {"trainable": False, "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA}
        self._step = tf.Variable(-1, dtype=tf.int64, **first)
        self._broken = tf.Variable(tf.zeros(len(self._names), tf.bool), **first)

    def observe(self, number: Tensor, values: Mapping[str, Tensor], taken: Tensor) -> None:
        """Called in every step.

        Args:
            number: scalar int64, number of updates before the step.
            values: name -> scalar.
            taken: scalar bool; steps that the optimizer skips, because scaled gradients overflowed, do not count.
        """
        broken = tf.stack([~tf.math.is_finite(tf.cast(values[name], tf.float32)) for name in self._names])
        first = tf.reduce_any(broken) & taken & (self._step < 0)
        self._broken.assign(tf.where(first, broken, self._broken))
        self._step.assign(tf.where(first, number, self._step))

    def report(self) -> str | None:
        """The step, counted from 1, and the losses that were not finite in it, in words; None if all were."""
        step = int(tf.convert_to_tensor(self._step))
        if step < 0:
            return None
        broken = tf.convert_to_tensor(self._broken).numpy()
        names = [name for name, is_broken in zip(self._names, broken, strict=True) if is_broken]
        return f"step {step + 1}: {', '.join(names)}"
