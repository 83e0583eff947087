"""Compresses the channel indicators in every step, by the paper's group lasso or by proximal steps."""

import tensorflow as tf

from keras_cdd import losses
from keras_cdd.annotations import Tensor
from keras_cdd.distill.effects import Effects
from keras_cdd.distill.part import Part

COMPRESSIONS = ("none", "lasso", "proximal")


class CompressionRule(Part):
    """Adds the gradient of the compression loss to those of the indicators, or shrinks them after every update.

    Args:
        kind: "lasso" (CDD, eq. 8: `gradient_mask * task gradient + weight * K / ||K||` per output channel),
            "proximal" (a proximal step after every update, which reaches exact zeros on short schedules) or "none".
        weight: weight of the compression loss, at least 0.

    Raises:
        ValueError: if `kind` is unknown.
    """

    name = "compression"

    def __init__(self, kind: str, weight: float) -> None:
        super().__init__()
        if kind not in COMPRESSIONS:
            raise ValueError(f"Argument `kind` must be one of {COMPRESSIONS}. Received: kind={kind!r}")
        self.kind = kind
        self.weight = weight

    def indicator_gradient(self, site: str, kernel: Tensor, gradient: Tensor, scale: Tensor) -> Tensor:
        if self.kind != "lasso":
            return gradient
        return gradient + self.weight * scale * losses.compression_gradient(kernel)

    def after_update(self, effects: Effects, learning_rate: Tensor) -> None:
        if self.kind != "proximal":
            return
        threshold = tf.cast(learning_rate, tf.float32) * self.weight
        for kernel in effects.kernels.values():
            kernel.assign(losses.proximal_step(kernel, threshold))
