"""Deterministic batches: the same seed and epoch give the same images, also after a resume."""

import numpy as np
import tensorflow as tf


def training_batches(store, labels, sampler, augmentation, seed=0, start_epoch=0):
    """An endless `tf.data.Dataset` of (images, labels), epoch after epoch from `start_epoch` on.

    Args:
        store: `ImageStore` of the training images.
        labels: (images,) contiguous classes.
        sampler: `PKSampler`; an epoch is its `steps_per_epoch` batches.
        augmentation: function of (float32 images, seed pair), or None.
        seed: of the augmentation.

    Returns:
        Batches of float32 (P * K, height, width, 3) in 0..255 and int32 (P * K,).
    """
    labels = np.asarray(labels, np.int32)

    def epoch_plan(epoch):
        positions = tf.numpy_function(lambda e: sampler.batches(int(e)), [epoch], tf.int64)
        positions.set_shape([sampler.steps_per_epoch, sampler.batch_size])
        steps = tf.range(sampler.steps_per_epoch, dtype=tf.int64)
        return tf.data.Dataset.from_tensor_slices((tf.fill(tf.shape(steps), epoch), steps, positions))

    def load(epoch, step, positions):
        images, classes = tf.numpy_function(
            lambda p: (store.take(p), labels[p]), [positions], (tf.uint8, tf.int32)
        )
        images.set_shape([sampler.batch_size, *store.image_size, 3])
        classes.set_shape([sampler.batch_size])
        images = tf.cast(images, tf.float32)
        if augmentation is not None:
            images = augmentation(images, [seed * 1_000_003 + tf.cast(epoch, tf.int32), tf.cast(step, tf.int32)])
        return images, classes

    epochs = tf.data.Dataset.range(start_epoch, np.iinfo(np.int32).max)
    return epochs.flat_map(epoch_plan).map(load, num_parallel_calls=2, deterministic=True).prefetch(2)


def evaluation_batches(store, batch_size):
    """Float32 batches (N, height, width, 3) in 0..255 of a store's images, in order."""
    for start in range(0, len(store), batch_size):
        yield store.take(np.arange(start, min(start + batch_size, len(store)))).astype(np.float32)
