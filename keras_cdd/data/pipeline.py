"""Deterministic batches: the same seed and epoch give the same images, also after a resume."""

import numpy as np
import tensorflow as tf


def training_batches(store, labels, sampler, augmentation=None, seed=0, epochs=1, start_epoch=0):
    """A `tf.data.Dataset` of (images, labels), the epochs from `start_epoch` to `epochs` one after the other.

    Args:
        store: `ImageStore` of the training images.
        labels: (images,) contiguous classes.
        sampler: `PKSampler`; an epoch is its `steps_per_epoch` batches.
        augmentation: function of (float32 images, seed pair), or None.
        seed: of the augmentation.

    Returns:
        Batches of float32 (P * K, height, width, 3) in 0..255 and int32 (P * K,).
    """
    labels = tf.constant(labels, tf.int32)
    take = _taker(store)
    positions = np.concatenate([sampler.batches(epoch) for epoch in range(start_epoch, epochs)])
    numbers = np.arange(start_epoch * sampler.steps_per_epoch, epochs * sampler.steps_per_epoch, dtype=np.int32)

    def load(number, chosen):
        images = tf.cast(take(chosen), tf.float32)
        images.set_shape([sampler.batch_size, *store.image_size, 3])
        if augmentation is not None:
            images = augmentation(images, [seed, number])
        return images, tf.gather(labels, chosen)

    batches = tf.data.Dataset.from_tensor_slices((numbers, positions))
    return batches.map(load, num_parallel_calls=2, deterministic=True).prefetch(2)


def _taker(store):
    if store.pixels is None:
        return lambda chosen: tf.numpy_function(store.take, [chosen], tf.uint8)
    # Images in memory need no way through Python.
    pixels = tf.constant(store.pixels)
    return lambda chosen: tf.gather(pixels, chosen)


def evaluation_batches(store, batch_size):
    """Float32 batches (N, height, width, 3) in 0..255 of a store's images, in order."""
    for start in range(0, len(store), batch_size):
        yield store.take(np.arange(start, min(start + batch_size, len(store)))).astype(np.float32)
