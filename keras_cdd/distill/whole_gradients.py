"""What depends on the gradients of all replicas together, before an optimizer adds them up."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_cdd.annotations import Tensor
from keras_cdd.replicas import several, total


def is_taken(optimizer: Any, gradients: Sequence[Tensor]) -> Tensor:
    """Whether an optimizer takes the step: it skips a step whose scaled gradients overflow on any replica."""
    if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return tf.constant(True)
    return total(1.0 - tf.cast(optimizer.check_finite(gradients), tf.float32)) == 0.0


def clipped(optimizer: Any, gradients: Sequence[Tensor], loss_scale: Tensor) -> Sequence[Tensor]:
    """The gradients to give to an optimizer with a `global_clipnorm`, which clips what one replica gives.

    Args:
        optimizer: of Keras; one that does not clip gets the gradients as they are.
        gradients: this replica's share, multiplied by `loss_scale`.
        loss_scale: scalar.

    Returns:
        On several replicas, equal shares of the sum over all of them, which is so short that it is not clipped again.
    """
    limit = getattr(getattr(optimizer, "inner_optimizer", optimizer), "global_clipnorm", None)
    if limit is None or not several():
        return gradients
    whole, _ = tf.clip_by_global_norm(total(gradients), limit * loss_scale)
    return [gradient / tf.distribute.get_strategy().num_replicas_in_sync for gradient in whole]
