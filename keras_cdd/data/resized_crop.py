"""Seeded crops, resized to the whole image."""

import math

import tensorflow as tf

from keras_cdd.data.draws import uniform

# Largest ratio of a crop's sides, relative to that of the image's sides; the smallest is its inverse.
RATIO = 4 / 3


def resized_crop(images, smallest, seed):
    """Enlarges a random rectangle of every image to the image's size, bilinearly.

    Args:
        images: uint8 or float32 (N, H, W, 3).
        smallest: smallest area of the rectangle as a fraction of the image's; areas are uniform from there to 1.
        seed: integer tensor (2,) or `ViewSeed`; the same seed gives the same rectangles.

    Returns:
        float32 (N, H, W, 3).
    """
    count, size = tf.shape(images)[0], tf.shape(images)[1:3]
    area, ratio, top, left = tf.unstack(uniform(4, count, seed))
    area, ratio = smallest + (1.0 - smallest) * area, tf.exp((2.0 * ratio - 1.0) * math.log(RATIO) / 2.0)
    # A side that would be longer than the image's is as long, and the other one keeps the area.
    high = tf.clip_by_value(tf.sqrt(area) * ratio, area, 1.0)
    wide = area / high
    top, left = top * (1.0 - high), left * (1.0 - wide)
    boxes = tf.stack([top, left, top + high, left + wide], axis=1)
    crops = tf.image.crop_and_resize(images, boxes, tf.range(count), size)
    return tf.ensure_shape(crops, images.shape)
