"""What `crop` does in NumPy, in TensorFlow, for accelerators."""

import tensorflow as tf


def gathered(images, down, right, mirrored, background, hole=()):
    """Shifts every image by whole pixels, mirrors some and erases a rectangle; the pixels are those of `crop`, `erase`.

    Args:
        images: float32 (N, H, W, 3).
        down, right, mirrored, background: as in `crop`.
        hole: rows and columns as in `erase`; none by default.

    Returns:
        float32 (N, H, W, 3).
    """
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    rows = tf.range(height) - down[:, None]
    columns = tf.range(width) - right[:, None]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    columns = tf.where(mirrored[:, None], width - 1 - columns, columns)
    moved = tf.gather(images, tf.clip_by_value(rows, 0, height - 1), axis=1, batch_dims=1)
    moved = tf.gather(moved, tf.clip_by_value(columns, 0, width - 1), axis=2, batch_dims=1)
    shown = inside[..., None] & ~in_hole(*hole) if hole else inside[..., None]
    return tf.ensure_shape(tf.where(shown, moved, tf.constant(background, tf.float32)), images.shape)


def in_hole(rows, columns):
    """bool (N, H, W, 1): where both the row (N, H) and the column (N, W) are True."""
    return (rows[:, :, None] & columns[:, None, :])[..., None]
