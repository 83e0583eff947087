"""Re-estimates BatchNorm statistics after cuts."""

import tensorflow as tf


def reestimate_batch_norm(model, batches):
    """Updates the moving statistics by forward passes in training mode; no weights are trained.

    The statistics are moving averages, so that a few dozen batches replace the old values.

    Args:
        model: `keras.Model`; its statistics are changed in place.
        batches: finite iterable of images (N, H, W, 3) in 0..255.
    """
    forward = tf.function(lambda images: model(images, training=True), reduce_retracing=True)
    for images in batches:
        forward(images)
