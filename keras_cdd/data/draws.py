"""The random numbers of an augmentation: a column for every image."""

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class ViewSeed:
    """In place of a seed (2,): the numbers of an image depend on its view alone, not on its batch.

    Attributes:
        seed: integer tensor (2,).
        rows: integers (N,), the views of the images of a batch, each below `total`.
        total: number of all views.
    """

    seed: object
    rows: object
    total: int


def uniform(rows, count, seed, smallest=0.0, largest=1.0):
    """float32 (rows, count), or (count,) if `rows` is None: uniform numbers for a batch of `count` images.

    Args:
        seed: integer tensor (2,) or `ViewSeed`; the same gives the same numbers.
        smallest, largest: bounds of the numbers, 0 and 1 by default.
    """
    lead = [] if rows is None else [rows]
    if not isinstance(seed, ViewSeed):
        return tf.random.stateless_uniform([*lead, count], seed, smallest, largest)
    return tf.gather(tf.random.stateless_uniform([*lead, seed.total], seed.seed, smallest, largest), seed.rows, axis=-1)


def fold_in(seed, number):
    """`tf.random.fold_in`, also of a `ViewSeed`."""
    if isinstance(seed, ViewSeed):
        return dataclasses.replace(seed, seed=tf.random.fold_in(seed.seed, number))
    return tf.random.fold_in(seed, number)


def split(seed, count):
    """List of `count` seeds, as of `tf.random.split`, also of a `ViewSeed`."""
    if isinstance(seed, ViewSeed):
        return [dataclasses.replace(seed, seed=one) for one in split(seed.seed, count)]
    return tf.unstack(tf.random.split(seed, count))
