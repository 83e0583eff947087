"""Random changes that leave the identity as it is; whole batches at once, seeded."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from keras_cdd.data.crop import crop, erase


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How strongly training images are changed; every part is off at its default.

    Attributes:
        shift: largest move in whole pixels, in each direction (pad and crop).
        rotation: largest angle in degrees, either way.
        scale: (smallest, largest) factor on the subject's size.
        flip: mirror every other image.
        erasing: probability that a random rectangle is painted over (Zhong et al., AAAI 2020).
        background: RGB 0..255 shown where the image has moved away, and in erased rectangles.

    Raises:
        ValueError: for a negative strength, a probability above 1, or a scale that is not (0 < smallest <=
            largest).
    """

    shift: int = 0
    rotation: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    flip: bool = False
    erasing: float = 0.0
    background: tuple[int, int, int] = (0, 0, 0)

    def __post_init__(self):
        if self.shift < 0 or self.rotation < 0 or not 0 <= self.erasing <= 1:
            raise ValueError(
                "Arguments `shift` and `rotation` must not be negative, `erasing` must be a probability. "
                f"Received: shift={self.shift}, rotation={self.rotation}, erasing={self.erasing}"
            )
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"Argument `scale` must be (smallest, largest), above 0. Received: scale={self.scale}")

    def __call__(self, images, seed):
        """Changes a batch.

        Without rotation and scale every change is a copy of bytes: uint8 images stay so until the end.

        Args:
            images: uint8 or float32 (N, H, W, 3) in 0..255.
            seed: integers (2,); the same seed gives the same changes.

        Returns:
            float32 (N, H, W, 3) in 0..255.
        """
        seeds = tf.unstack(tf.random.split(seed, 4))
        if self.rotation or tuple(self.scale) != (1.0, 1.0):
            return self._resampled(tf.cast(images, tf.float32), seeds)
        return tf.cast(self._cropped(images, seeds) if self.shift or self.flip or self.erasing else images, tf.float32)

    def _cropped(self, images, seeds):
        """Moved, mirrored and erased in NumPy; a graph holds one node for it all."""
        shape = tf.shape(images)
        _, _, right, down = self._draw(shape[0], seeds[0])
        changes = [tf.cast(down, tf.int32), tf.cast(right, tf.int32), self._mirrored(shape[0], seeds[1])]
        if self.erasing:
            changes += _holes(shape, self.erasing, seeds[2], seeds[3])

        def change(images, down, right, mirrored, *hole):
            background = np.array(self.background, images.dtype)
            changed = crop(images, down, right, mirrored, background)
            if hole:
                erase(changed, *hole, background)
            return changed

        changed = tf.numpy_function(change, [images, *changes], images.dtype, stateful=False)
        return tf.ensure_shape(changed, images.shape)

    def _resampled(self, images, seeds):
        """Turned and scaled as well, bilinearly."""
        # Relative to the background, so that the one fill value of the transform, 0, is the background.
        images = images - tf.constant(self.background, tf.float32)
        images = _transform(images, self._matrices(tf.shape(images), seeds[0], seeds[1]))
        if self.erasing:
            rows, columns = _holes(tf.shape(images), self.erasing, seeds[2], seeds[3])
            images = tf.where((rows[:, :, None] & columns[:, None, :])[..., None], 0.0, images)
        return images + tf.constant(self.background, tf.float32)

    def _draw(self, count, seed):
        """float32 (count,) each: angle in radians, factor from output to input, move in whole pixels right and down."""
        angle, scale, dx, dy = tf.unstack(tf.random.stateless_uniform([4, count], seed, -1.0, 1.0))
        small, large = self.scale
        scale = 1.0 / ((small + large + scale * (large - small)) / 2.0)
        dx, dy = tf.round(dx * (self.shift + 0.499)), tf.round(dy * (self.shift + 0.499))
        return angle * math.radians(self.rotation), scale, dx, dy

    def _mirrored(self, count, seed):
        """bool (count,)."""
        return (tf.random.stateless_uniform([count], seed) < 0.5) & self.flip

    def _matrices(self, shape, seed, flip_seed):
        """(N, 8) projective transforms from output to input pixels: about the centre, moved, mirrored."""
        angle, scale, dx, dy = self._draw(shape[0], seed)
        cy, cx = (tf.cast(shape[1], tf.float32) - 1) / 2, (tf.cast(shape[2], tf.float32) - 1) / 2
        cos, sin = tf.cos(angle) * scale, tf.sin(angle) * scale
        x_of = cos, -sin, cx - cos * (cx + dx) + sin * (cy + dy)
        y_of = sin, cos, cy - sin * (cx + dx) - cos * (cy + dy)
        mirrored = self._mirrored(shape[0], flip_seed)
        x_of = tuple(tf.where(mirrored, edge - value, value) for value, edge in zip(x_of, (0, 0, 2 * cx), strict=True))
        return tf.stack([*x_of, *y_of, tf.zeros_like(cos), tf.zeros_like(cos)], axis=1)


def _transform(images, matrices):
    """One bilinear resampling of the whole batch, 0 outside."""
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=matrices,
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def _holes(shape, probability, which, where):
    """bool (N, H) and (N, W): a rectangle of 2 to 25 % of the area in a random choice of images."""
    count, height, width, _ = tf.unstack(shape)
    area, ratio, top, left = tf.unstack(tf.random.stateless_uniform([4, count], where))
    area, ratio = 0.02 + 0.23 * area, tf.exp((2.0 * ratio - 1.0) * math.log(3.0))
    high, wide = tf.minimum(tf.sqrt(area * ratio), 1.0), tf.minimum(tf.sqrt(area / ratio), 1.0)

    def inside(side, start, length):
        middle = (tf.cast(tf.range(side), tf.float32) + 0.5) / tf.cast(side, tf.float32)
        start = (start * (1.0 - length))[:, None]
        return (middle >= start) & (middle < start + length[:, None])

    chosen = tf.random.stateless_uniform([count], which) < probability
    return inside(height, top, high) & chosen[:, None], inside(width, left, wide)
