"""The images by which a converter sees how large activations get."""

import collections

import numpy as np

from keras_cdd.data.image_store import ImageStore


def representative_images(records, image_size, count=256, seed=0):
    """Real images, of as many identities as possible: noise would flatter the result.

    Args:
        records: training `ImageRecord`s.
        image_size: (height, width).
        count: images to give; fewer if there are fewer.
        seed: of the choice.

    Returns:
        uint8 (count, height, width, 3).

    Raises:
        ValueError: for a count below 1, or if none of the images can be read.
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
