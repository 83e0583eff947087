"""What a forward pass leaves for distillation, the gradient reset and the Fisher score."""

import threading
from collections.abc import Callable
from typing import Self

import keras
import tensorflow as tf

from keras_cdd.annotations import Tensor

_ACTIVE = threading.local()


@tf.custom_gradient
def _probe(activation: Tensor, gate: Tensor) -> tuple[Tensor, Callable[..., tuple[Tensor, Tensor]]]:
    """Returns `activation` as it is; the gate's gradient is `sum over positions of activation * gradient`.

    That equals multiplying the activation by a per-image, per-channel gate of ones, without the multiplication.
    """

    def gradient(upstream: Tensor) -> tuple[Tensor, Tensor]:
        product = tf.cast(activation, tf.float32) * tf.cast(upstream, tf.float32)
        return upstream, tf.reduce_sum(product, axis=[1, 2])

    return tf.identity(activation), gradient


class FeatureRecorder:
    """Collects what gated blocks compute inside, in the one forward pass that the training step makes anyway.

    ```python
    with FeatureRecorder() as recorder:
        outputs = student(images, training=True)
    recorder.convolution["stage1_block1/conv2"]   # (N, inputs): pooled, before the indicator
    recorder.indicator["stage1_block1/conv2"]     # (N, kept): pooled, after the indicator, before its ReLU
    ```

    All pooled values are float32. A recorder belongs to the thread that opened it, so replicas do not mix.

    Args:
        with_gates: also place a gate of ones (N, kept) on every indicated activation after its ReLU. A tape that
            watches gives `d loss / d gate`, whose square is the Fisher score of the channel.
        tape: the `tf.GradientTape` that shall watch the gates.
    """

    def __init__(self, with_gates: bool = False, tape: tf.GradientTape | None = None) -> None:
        self.with_gates = with_gates
        self.tape = tape
        self.convolution: dict[str, Tensor] = {}
        self.indicator: dict[str, Tensor] = {}
        self.gates: dict[str, Tensor] = {}

    def __enter__(self) -> Self:
        self._outer = active_recorder()
        _ACTIVE.recorder = self
        return self

    def __exit__(self, *_: object) -> None:
        _ACTIVE.recorder = self._outer

    def record(self, site: str, convolution: Tensor, indicator: Tensor) -> None:
        """Stores the spatial means of the two (N, H, W, C) tensors under the site's name."""
        self.convolution[site] = _pooled(convolution)
        self.indicator[site] = self.convolution[site] if indicator is convolution else _pooled(indicator)

    def gate(self, site: str, activation: Tensor) -> Tensor:
        """Returns the activation with the site's gate on it."""
        if not self.with_gates:
            return activation
        self.gates[site] = tf.ones([tf.shape(activation)[0], activation.shape[-1]], tf.float32)
        if self.tape is not None:
            self.tape.watch(self.gates[site])
        return _probe(activation, self.gates[site])


def active_recorder() -> FeatureRecorder | None:
    """The recorder opened by this thread, or None."""
    return getattr(_ACTIVE, "recorder", None)


def _pooled(feature_map: Tensor) -> Tensor:
    return keras.ops.mean(keras.ops.cast(feature_map, "float32"), axis=(1, 2))
