"""Seeded changes of the light: brightness, contrast, saturation and hue of whole batches."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from keras_cdd.data.draws import uniform

# Luma and colour difference of RGB (NTSC): a turn in the plane of the last two rows changes the hue alone.
YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


@dataclasses.dataclass(frozen=True)
class ColourChange:
    """Random changes of an image's colours; by default, none.

    Every image gets its own factors, uniform within the strengths. All changes of an image together are one linear map
    of its pixels, clipped to 0..255 at the end.

    Attributes:
        brightness: a factor of 1 - strength to 1 + strength on all values.
        contrast: likewise on the difference from the image's mean luma.
        saturation: likewise on the difference from a pixel's luma.
        hue: largest turn of the hue in either direction; 0.5 is half of the circle.

    Raises:
        ValueError: if `brightness`, `contrast` or `saturation` is outside 0..1, or `hue` outside 0..0.5.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self):
        for name, strength in dataclasses.asdict(self).items():
            largest = 0.5 if name == "hue" else 1.0
            if not 0 <= strength <= largest:
                raise ValueError(f"Argument `{name}` must be in 0..{largest}. Received: {name}={strength}")

    @property
    def changes(self):
        """Whether any strength is above 0."""
        return any(dataclasses.astuple(self))

    def __call__(self, images, seed):
        """Changes the colours of a batch.

        Args:
            images: uint8 or float32 (N, H, W, 3) in 0..255.
            seed: integer tensor (2,) or `ViewSeed`; the same seed gives the same changes.

        Returns:
            float32 (N, H, W, 3) in 0..255.
        """
        return self.applied(images, self.drawn(tf.shape(images)[0], seed))

    def drawn(self, count, seed):
        """float32 (count, 4) in -1..1: how much of each strength an image gets."""
        return tf.transpose(uniform(4, count, seed, -1.0, 1.0))

    def applied(self, images, drawn):
        """Changes the colours of a batch as `drawn` says."""
        images, luma, draws = tf.cast(images, tf.float32), tf.constant(YIQ[0], tf.float32), tf.unstack(drawn, axis=1)
        strengths = (self.brightness, self.contrast, self.saturation)
        bright, contrast, saturation = (1.0 + strength * draws[row] for row, strength in enumerate(strengths))
        matrices = self._matrices(bright * contrast, saturation, 2.0 * math.pi * self.hue * draws[3])
        mean = bright * tf.reduce_sum(tf.reduce_mean(images, axis=(1, 2)) * luma, axis=1)
        shape = tf.shape(images)
        pixels = tf.reshape(images, [shape[0], -1, 3]) @ matrices + ((1.0 - contrast) * mean)[:, None, None]
        return tf.ensure_shape(tf.reshape(tf.clip_by_value(pixels, 0.0, 255.0), shape), images.shape)

    def _matrices(self, gain, saturation, angle):
        """(N, 3, 3), from the row of a pixel's RGB to that of its new RGB, before the contrast's offset."""
        cos, sin, zero = saturation * tf.cos(angle), saturation * tf.sin(angle), tf.zeros_like(angle)
        rows = [[tf.ones_like(angle), zero, zero], [zero, cos, -sin], [zero, sin, cos]]
        turned = tf.transpose(tf.convert_to_tensor(rows), [2, 0, 1])
        there, back = tf.constant(YIQ, tf.float32), tf.constant(np.linalg.inv(YIQ), tf.float32)
        return gain[:, None, None] * tf.linalg.matrix_transpose(back @ turned @ there)
