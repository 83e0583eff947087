"""Batches of P identities with K images each (NumPy)."""

import numpy as np

from keras_cdd.errors import UserError


class PKSampler:
    """Draws batches for the triplet loss; the same seed and epoch give the same batches.

    An epoch draws from shuffled identities, and from the shuffled images of each identity, so that all are used about
    equally often. Images of an identity with fewer than K images are repeated.

    Args:
        labels: (images,), class of every image.
        identities_per_batch: P.
        images_per_identity: K.
        seed: integer, at least 0; 0 by default.

    Attributes:
        batch_size: P * K.
        steps_per_epoch: number of images // (P * K), at least 1.

    Raises:
        ValueError: if P or K is below 1.
        UserError: if there are fewer than P identities.
    """

    def __init__(self, labels, identities_per_batch, images_per_identity, seed=0):
        if identities_per_batch < 1 or images_per_identity < 1:
            raise ValueError(
                "Arguments `identities_per_batch` and `images_per_identity` must be at least 1. "
                f"Received: {identities_per_batch} and {images_per_identity}"
            )
        labels = np.asarray(labels)
        self._images = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        if len(self._images) < identities_per_batch:
            raise UserError(
                "Argument `identities_per_batch` must not exceed the number of training identities, "
                f"{len(self._images)}. Received: identities_per_batch={identities_per_batch}"
            )
        self.identities_per_batch = identities_per_batch
        self.images_per_identity = images_per_identity
        self.seed = seed
        self.batch_size = identities_per_batch * images_per_identity
        self.steps_per_epoch = max(1, len(labels) // self.batch_size)

    def batches(self, epoch):
        """Positions of the images of an epoch, int64 (steps_per_epoch, P * K); batches are grouped by identity."""
        rng = np.random.default_rng([self.seed, epoch])
        waiting = [np.empty(0, np.int64) for _ in self._images]
        identities = np.empty(0, np.int64)
        batches = []
        for _ in range(self.steps_per_epoch):
            chosen, identities = _deal(identities, np.arange(len(self._images)), self.identities_per_batch, rng)
            for identity in chosen:
                taken, waiting[identity] = _deal(
                    waiting[identity], self._images[identity], self.images_per_identity, rng
                )
                batches.append(taken)
        return np.concatenate(batches).reshape(self.steps_per_epoch, self.batch_size)


def _deal(waiting, everything, count, rng):
    """Takes `count` items from the shuffled `waiting` ones; if they run out, appends a new shuffle of everything.

    A new shuffle puts the items that are still waiting at its end, so that no item is taken twice at once unless there
    are fewer than `count`. Returns the taken items and the waiting ones.
    """
    while len(waiting) < count:
        fresh = rng.permutation(everything)
        again = np.isin(fresh, waiting)
        waiting = np.concatenate([waiting, fresh[~again], fresh[again]])
    return waiting[:count], waiting[count:]
