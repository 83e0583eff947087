"""BatchNormalization that trains with TensorFlow's fused kernel."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("keras_cdd")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` in one kernel instead of a dozen operations, hence faster in training.

    Has the same weights and config, and normalises the last axis, with scale and center. One difference: in training,
    the running variance is updated with the unbiased batch variance (times n / (n - 1)), as in torch.

    Args:
        **kwargs: of `keras.layers.BatchNormalization`; `axis`, `scale` and `center` keep their defaults.

    Input and output shape: (N, H, W, C).
    """

    def call(self, inputs, training=None, mask=None):
        training = bool(training) and self.trainable
        statistics = () if training else (self.moving_mean, self.moving_variance)
        mean, variance = (tf.convert_to_tensor(s) for s in statistics) if statistics else ([], [])
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.cast(self.gamma, tf.float32),
            offset=tf.cast(self.beta, tf.float32),
            mean=tf.cast(mean, tf.float32),
            variance=tf.cast(variance, tf.float32),
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            self.moving_mean.assign(self.moving_mean * self.momentum + mean * (1.0 - self.momentum))
            self.moving_variance.assign(self.moving_variance * self.momentum + variance * (1.0 - self.momentum))
        return outputs
