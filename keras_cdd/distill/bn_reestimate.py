"""BatchNorm statistics anew, after a cut."""

import tensorflow as tf


def reestimate_batch_norm(model, batches):
    """Runs images (N, H, W, 3) through the model in training mode, forward only: the moving statistics follow.

    The moving averages of Keras forget: after a few dozen batches nothing of the old statistics is left.
    """
    forward = tf.function(lambda images: model(images, training=True), reduce_retracing=True)
    for images in batches:
        forward(images)
