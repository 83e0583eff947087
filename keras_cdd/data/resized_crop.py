"""Seeded crops, resized to the whole image."""

import math

import tensorflow as tf

from keras_cdd.data.draws import uniform

# Largest ratio of a crop's sides, relative to that of the image's sides; the smallest is its inverse.
RATIO = 4 / 3


def crop_boxes(count, smallest, seed):
    """float32 (count, 4): top, left, bottom and right of a random rectangle in every image, as fractions of its sides.

    Args:
        count: number of images.
        smallest: smallest area of the rectangle as a fraction of the image's; areas are uniform from there to 1.
        seed: integer tensor (2,) or `ViewSeed`; the same seed gives the same rectangles.
    """
    area, ratio, top, left = tf.unstack(uniform(4, count, seed))
    area, ratio = smallest + (1.0 - smallest) * area, tf.exp((2.0 * ratio - 1.0) * math.log(RATIO) / 2.0)
    # A side that would be longer than the image's is as long, and the other one keeps the area.
    high = tf.clip_by_value(tf.sqrt(area) * ratio, area, 1.0)
    wide = area / high
    top, left = top * (1.0 - high), left * (1.0 - wide)
    return tf.stack([top, left, top + high, left + wide], axis=1)


def resized_crop(images, boxes):
    """Enlarges a rectangle of every image to the image's size, bilinearly.

    Args:
        images: uint8 or float32 (N, H, W, 3).
        boxes: (N, 4), see `crop_boxes`.

    Returns:
        float32 (N, H, W, 3).
    """
    crops = tf.image.crop_and_resize(images, boxes, tf.range(tf.shape(images)[0]), tf.shape(images)[1:3])
    return tf.ensure_shape(crops, images.shape)
