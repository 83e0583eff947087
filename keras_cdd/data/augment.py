"""Random changes that leave the identity as it is; whole batches at once, seeded."""

import dataclasses
import math

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How strongly training images are changed; every part is off at its default.

    Attributes:
        shift: largest shift in pixels, each direction (pad and crop).
        rotation: largest angle in degrees.
        scale: (smallest, largest) factor on the subject's size.
        flip: mirror every other image.
        erasing: probability that a random rectangle is painted over (Zhong et al., AAAI 2020).
        background: RGB 0..255 shown where the image has moved away, and in erased rectangles.
    """

    shift: float = 0.0
    rotation: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    flip: bool = False
    erasing: float = 0.0
    background: tuple[int, int, int] = (0, 0, 0)

    def __call__(self, images, seed):
        """float32 (N, H, W, 3) in 0..255 and two integers -> images of the same shape."""
        seeds = tf.random.split(tf.cast(seed, tf.int32), 8)
        background = tf.constant(self.background, tf.float32)
        images = images - background
        if self.shift or self.rotation or self.scale != (1.0, 1.0):
            images = _transform(images, self._matrices(tf.shape(images), seeds))
        if self.flip:
            mirrored = tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], seeds[5]) < 0.5
            images = tf.where(mirrored, images[:, :, ::-1], images)
        if self.erasing:
            images = _erase(images, self.erasing, seeds[6], seeds[7])
        return images + background

    def _matrices(self, shape, seeds):
        """(N, 8) projective transforms from output to input pixels, about the centre."""

        def draw(seed, low, high):
            return tf.random.stateless_uniform([shape[0]], seed, low, high)

        angle = draw(seeds[0], -1.0, 1.0) * math.radians(self.rotation)
        scale = 1.0 / draw(seeds[1], self.scale[0], self.scale[1] + 1e-9)
        dx, dy = draw(seeds[2], -self.shift, self.shift + 1e-9), draw(seeds[3], -self.shift, self.shift + 1e-9)
        cos, sin = tf.cos(angle) * scale, tf.sin(angle) * scale
        cy, cx = (tf.cast(shape[1], tf.float32) - 1) / 2, (tf.cast(shape[2], tf.float32) - 1) / 2
        zero = tf.zeros_like(angle)
        x_offset = cx - cos * (cx + dx) + sin * (cy + dy)
        y_offset = cy - sin * (cx + dx) - cos * (cy + dy)
        return tf.stack([cos, -sin, x_offset, sin, cos, y_offset, zero, zero], axis=1)


def _transform(images, matrices):
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=matrices,
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def _erase(images, probability, which, where):
    """Zeroes one rectangle of 2 to 25 % of the area in a random choice of images."""
    count, height, width = (tf.shape(images)[i] for i in range(3))
    area, ratio, top, left = tf.unstack(tf.random.stateless_uniform([4, count], where))
    area, ratio = 0.02 + 0.23 * area, tf.exp((2.0 * ratio - 1.0) * math.log(3.0))
    high, wide = tf.minimum(tf.sqrt(area * ratio), 1.0), tf.minimum(tf.sqrt(area / ratio), 1.0)

    def inside(side, start, length):
        middle = (tf.cast(tf.range(side), tf.float32) + 0.5) / tf.cast(side, tf.float32)
        start = (start * (1.0 - length))[:, None]
        return (middle >= start) & (middle < start + length[:, None])

    chosen = tf.random.stateless_uniform([count], which) < probability
    hole = inside(height, top, high)[:, :, None] & inside(width, left, wide)[:, None, :] & chosen[:, None, None]
    return tf.where(hole[..., None], 0.0, images)
