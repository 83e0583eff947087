"""Seeded augmentation of whole batches."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from keras_cdd.data.colour import ColourChange
from keras_cdd.data.crop import crop, erase
from keras_cdd.data.draws import fold_in, split, uniform
from keras_cdd.data.gathered import gathered, in_hole
from keras_cdd.data.resized_crop import crop_boxes, resized_crop


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random changes of training images; by default, none.

    Attributes:
        shift: largest shift in whole pixels, in each direction (pad and crop).
        rotation: largest angle in degrees, in either direction.
        scale: (smallest, largest) factor on the size of the subject.
        flip: mirror each image with probability 0.5.
        erasing: probability of erasing a random rectangle (Zhong et al., AAAI 2020).
        background: RGB 0..255 of uncovered borders and erased rectangles.
        random_crop: smallest area, as a fraction of the image's, of a random rectangle that is enlarged to the image
            before all other changes; 1 for none.
        colour: `ColourChange` of brightness, contrast, saturation and hue, before borders and rectangles are painted.

    Raises:
        ValueError: if `shift` or `rotation` is negative, `erasing` is outside 0..1, not 0 < smallest <= largest
            `scale`, or not 0 < `random_crop` <= 1.
    """

    shift: int = 0
    rotation: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    flip: bool = False
    erasing: float = 0.0
    background: tuple[int, int, int] = (0, 0, 0)
    random_crop: float = 1.0
    colour: ColourChange = ColourChange()

    def __post_init__(self):
        if self.shift < 0 or self.rotation < 0 or not 0 <= self.erasing <= 1:
            raise ValueError(
                "Arguments `shift` and `rotation` must not be negative, `erasing` must be a probability. "
                f"Received: shift={self.shift}, rotation={self.rotation}, erasing={self.erasing}"
            )
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"Argument `scale` must be (smallest, largest), above 0. Received: scale={self.scale}")

        if not 0 < self.random_crop <= 1:
            raise ValueError(f"Argument `random_crop` must be above 0, at most 1. Received: {self.random_crop}")

    @tf.autograph.experimental.do_not_convert
    def __call__(self, images, seed):
        """Augments a batch.

        Shifts, mirroring and erasing alone only copy values, in the type of the images.

        Args:
            images: uint8 or float32 (N, H, W, 3) in 0..255.
            seed: integer tensor (2,) or `ViewSeed`; the same seed gives the same changes.

        Returns:
            float32 (N, H, W, 3) in 0..255.
        """
        return self.applied(images, self.drawn(tf.shape(images), seed))

    @tf.autograph.experimental.do_not_convert
    def drawn(self, shape, seed):
        """What happens to the images of a batch: dict name -> tensor with an entry for every image.

        Args:
            shape: that of the batch, (N, H, W, 3).
            seed: as in `__call__`.
        """
        drawn = {}
        if self.random_crop < 1:
            drawn["box"] = crop_boxes(shape[0], self.random_crop, fold_in(seed, 1))
        if self.colour.changes:
            drawn["colour"] = self.colour.drawn(shape[0], fold_in(seed, 2))
        seeds = split(seed, 4)
        if self.rotation or tuple(self.scale) != (1.0, 1.0):
            drawn["matrix"] = self._matrices(shape, seeds[0], seeds[1])
        elif self.shift or self.flip or self.erasing:
            _, _, right, down = self._draw(shape[0], seeds[0])
            drawn |= {"down": tf.cast(down, tf.int32), "right": tf.cast(right, tf.int32)}
            drawn["mirrored"] = self._mirrored(shape[0], seeds[1])
        if self.erasing:
            drawn["hole_rows"], drawn["hole_columns"] = _holes(shape, self.erasing, seeds[2], seeds[3])
        return drawn

    @tf.autograph.experimental.do_not_convert
    def applied(self, images, drawn, on_device=False):
        """Changes a batch as `drawn` says.

        Args:
            images: as in `__call__`.
            drawn: what `drawn` returned.
            on_device: whether all is computed in TensorFlow, as an accelerator needs it. By default, NumPy shifts,
                mirrors and erases, which is faster on a processor.
        """
        if on_device:
            images = tf.cast(images, tf.float32)
        if "box" in drawn:
            images = resized_crop(images, drawn["box"])
        if "colour" in drawn:
            images = self.colour.applied(images, drawn["colour"])
        if "matrix" in drawn:
            images = self._resampled(tf.cast(images, tf.float32), drawn)
        elif "down" in drawn:
            moves = [drawn["down"], drawn["right"], drawn["mirrored"]]
            hole = [drawn[name] for name in ("hole_rows", "hole_columns") if name in drawn]
            move = self._gathered if on_device else self._cropped
            images = move(images, moves, hole)
        return tf.cast(images, tf.float32)

    def _gathered(self, images, moves, hole):
        return gathered(images, *moves, self.background, hole)

    def _cropped(self, images, moves, hole):
        """Shifts, mirrors and erases in NumPy, which is one node of the graph."""

        def change(images, down, right, mirrored, *hole):
            background = np.array(self.background, images.dtype)
            changed = crop(images, down, right, mirrored, background)
            if hole:
                erase(changed, *hole, background)
            return changed

        changed = tf.numpy_function(change, [images, *moves, *hole], images.dtype, stateful=False)
        return tf.ensure_shape(changed, images.shape)

    def _resampled(self, images, drawn):
        """Shifts, mirrors, rotates and scales by bilinear resampling, then erases."""
        # Relative to the background, because the transform fills borders with a single value, 0.
        images = images - tf.constant(self.background, tf.float32)
        images = _transform(images, drawn["matrix"])
        if "hole_rows" in drawn:
            images = tf.where(in_hole(drawn["hole_rows"], drawn["hole_columns"]), 0.0, images)
        return images + tf.constant(self.background, tf.float32)

    def _draw(self, count, seed):
        """Four tensors float32 (count,): angle in radians, factor from output to input, whole pixels right and down."""
        angle, scale, dx, dy = tf.unstack(uniform(4, count, seed, -1.0, 1.0))
        small, large = self.scale
        scale = 1.0 / ((small + large + scale * (large - small)) / 2.0)
        dx, dy = tf.round(dx * (self.shift + 0.499)), tf.round(dy * (self.shift + 0.499))
        return angle * math.radians(self.rotation), scale, dx, dy

    def _mirrored(self, count, seed):
        """Which images to mirror, bool (count,)."""
        return (uniform(None, count, seed) < 0.5) & self.flip

    def _matrices(self, shape, seed, flip_seed):
        """(N, 8), projective transforms from output to input pixels: rotation about the centre, shift, mirroring."""
        angle, scale, dx, dy = self._draw(shape[0], seed)
        cy, cx = (tf.cast(shape[1], tf.float32) - 1) / 2, (tf.cast(shape[2], tf.float32) - 1) / 2
        cos, sin = tf.cos(angle) * scale, tf.sin(angle) * scale
        x_of = cos, -sin, cx - cos * (cx + dx) + sin * (cy + dy)
        y_of = sin, cos, cy - sin * (cx + dx) - cos * (cy + dy)
        mirrored = self._mirrored(shape[0], flip_seed)
        x_of = tuple(tf.where(mirrored, edge - value, value) for value, edge in zip(x_of, (0, 0, 2 * cx), strict=True))
        return tf.stack([*x_of, *y_of, tf.zeros_like(cos), tf.zeros_like(cos)], axis=1)


def _transform(images, matrices):
    """Resamples the whole batch once, bilinearly, with 0 outside the images."""
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=matrices,
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def _holes(shape, probability, which, where):
    """bool (N, H) and (N, W): rows and columns of a rectangle of 2 to 25 % of the area, in randomly chosen images."""
    count, height, width, _ = tf.unstack(shape)
    area, ratio, top, left = tf.unstack(uniform(4, count, where))
    area, ratio = 0.02 + 0.23 * area, tf.exp((2.0 * ratio - 1.0) * math.log(3.0))
    high, wide = tf.minimum(tf.sqrt(area * ratio), 1.0), tf.minimum(tf.sqrt(area / ratio), 1.0)

    def inside(side, start, length):
        middle = (tf.cast(tf.range(side), tf.float32) + 0.5) / tf.cast(side, tf.float32)
        start = (start * (1.0 - length))[:, None]
        return (middle >= start) & (middle < start + length[:, None])

    chosen = uniform(None, count, which) < probability
    return inside(height, top, high) & chosen[:, None], inside(width, left, wide)
