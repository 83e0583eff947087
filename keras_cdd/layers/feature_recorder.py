"""Records inner activations of a forward pass for distillation, gradient reset and Fisher score."""

import threading
from collections.abc import Callable
from typing import Self

import keras
import tensorflow as tf

from keras_cdd.annotations import Tensor

_ACTIVE = threading.local()


@tf.custom_gradient
def _probe(activation: Tensor, gate: Tensor) -> tuple[Tensor, Callable[..., tuple[Tensor, Tensor]]]:
    """Returns `activation` unchanged; the gate's gradient is the sum over positions of `activation * gradient`.

    Equivalent to multiplying the activation by a gate of ones per image and channel, but saves the multiplication.
    """

    def gradient(upstream: Tensor) -> tuple[Tensor, Tensor]:
        product = tf.cast(activation, tf.float32) * tf.cast(upstream, tf.float32)
        return upstream, tf.reduce_sum(product, axis=list(range(1, len(activation.shape) - 1)))

    return tf.identity(activation), gradient


class FeatureRecorder:
    """Records activations inside gated blocks during the training step's ordinary forward pass.

    ```python
    with FeatureRecorder() as recorder:
        outputs = student(images, training=True)
    recorder.convolution["stage1_block1/conv2"]   # (N, inputs): after conv and BatchNorm, before the indicator
    recorder.indicator["stage1_block1/conv2"]     # (N, kept): after the indicator, before its ReLU
    ```

    Recorded values are float32 means over all positions (H, W). A recorder is active only in the thread that opened
    it, so replicas do not mix.

    Args:
        with_gates: place a gate of ones (N, kept) on every activation behind an indicator, after its ReLU. The mean
            over images of the squared `d loss / d gate` is the channel's Fisher score. Default: False.
        gates_of_inputs: with `with_gates`, also place a gate on what a block's first convolution and its projection
            read, under the name `into(block)`. Default: False.
        tape: `tf.GradientTape` that watches the gates; None (the default) if the caller watches `gates` itself.

    Attributes:
        convolution: site -> (N, inputs), also for inner convolutions without an indicator.
        indicator: site -> (N, kept); the same as `convolution` where there is no indicator.
        gates: site -> (N, kept), with `with_gates` only.
    """

    def __init__(
        self, with_gates: bool = False, tape: tf.GradientTape | None = None, gates_of_inputs: bool = False
    ) -> None:
        self.with_gates = with_gates
        self.gates_of_inputs = gates_of_inputs
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
        """Stores the means over positions of two (N, ..., C) tensors under the site's name."""
        self.convolution[site] = _pooled(convolution)
        self.indicator[site] = self.convolution[site] if indicator is convolution else _pooled(indicator)

    def gate(self, site: str, activation: Tensor) -> Tensor:
        """The activation (N, ..., kept), with the site's gate on it if `with_gates`.

        A second activation of the same site gets the same gate.
        """
        if not self.with_gates:
            return activation
        if site not in self.gates:
            self.gates[site] = tf.ones([tf.shape(activation)[0], activation.shape[-1]], tf.float32)
            if self.tape is not None:
                self.tape.watch(self.gates[site])
        return _probe(activation, self.gates[site])


def active_recorder() -> FeatureRecorder | None:
    """The recorder opened by this thread, or None."""
    return getattr(_ACTIVE, "recorder", None)


def into(layer: str) -> str:
    """The name of the gate on the channels that a layer reads; a site may have the layer's own name."""
    return f"into {layer}"


def _pooled(feature_map: Tensor) -> Tensor:
    axes = tuple(range(1, len(feature_map.shape) - 1))
    return keras.ops.mean(keras.ops.cast(feature_map, "float32"), axis=axes)
