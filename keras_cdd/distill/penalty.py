"""What a model's own layers add to the loss: weight and activity regularizers, and `add_loss`."""

import keras
import tensorflow as tf

from keras_cdd.annotations import Tensor
from keras_cdd.models.graph import all_layers


def is_regularized(model: keras.Model) -> bool:
    """Whether a weight or an activity of the model has a regularizer."""
    return bool(model.losses) or any(layer.activity_regularizer is not None for layer in all_layers(model))


def penalty(model: keras.Model) -> Tensor:
    """Sum of `model.losses` in float32, of the last call of every layer; 0 if there are none."""
    return sum((tf.cast(loss, tf.float32) for loss in model.losses), tf.constant(0.0))
