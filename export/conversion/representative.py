"""Representative images, from which the converter measures the ranges of activations."""

import collections

import numpy as np

from keras_cdd.data.image_store import ImageStore


def representative_images(records, image_size, count=256, seed=0):
    """Chooses random training images of as many identities as possible.

    Args:
        records: list of training `ImageRecord`s.
        image_size: (height, width) in pixels.
        count: number of images, 256 by default; fewer are returned if there are fewer or if some are unreadable.
        seed: seed of the choice, 0 by default.

    Returns:
        uint8 (count, height, width, 3).

    Raises:
        ValueError: if `count` is below 1.
        UserError: if none of the images can be read.
    """
    if count < 1:
        raise ValueError(f"Argument `count` must be at least 1. Received: count={count}")
    order = np.random.default_rng(seed).permutation(len(records))
    chosen = _one_of_each_first([records[position] for position in order])[:count]
    store = ImageStore(chosen, image_size)
    return store.take(np.arange(len(store)))


def _one_of_each_first(records):
    """First one image of every identity, then a second of each, and so on; otherwise in the order given."""
    seen, turns = collections.Counter(), []
    for record in records:
        turns.append(seen[record.identity])
        seen[record.identity] += 1
    return [records[position] for position in np.argsort(turns, kind="stable")]
