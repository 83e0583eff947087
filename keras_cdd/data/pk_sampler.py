"""Batches of P identities with K images each (NumPy)."""

import numpy as np


class PKSampler:
    """Draws batches for the triplet loss; the same seed and epoch give the same batches.

    Every epoch walks through shuffled identities and through each identity's shuffled images, so that all are used about
    equally often. An identity with fewer than K images repeats some.

    Args:
        labels: (images,) contiguous classes.
        identities_per_batch: P.
        images_per_identity: K.
        seed: any integer.

    Raises:
        ValueError: if there are fewer identities than P.
    """

    def __init__(self, labels, identities_per_batch, images_per_identity, seed=0):
        labels = np.asarray(labels)
        self.identities_per_batch = identities_per_batch
        self.images_per_identity = images_per_identity
        self.seed = seed
        self._images = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        if len(self._images) < identities_per_batch:
            raise ValueError(
                f"A batch needs {identities_per_batch} identities, the data has {len(self._images)}; "
                "lower --identities_per_batch."
            )
        self.batch_size = identities_per_batch * images_per_identity
        self.steps_per_epoch = max(1, len(labels) // self.batch_size)

    def batches(self, epoch):
        """Image positions (steps_per_epoch, P * K) of an epoch, grouped by identity."""
        rng = np.random.default_rng([self.seed, epoch])
        orders = [iter(()) for _ in self._images]
        identities = self._identities(rng)
        return np.stack(
            [
                np.concatenate([self._take(orders, identity, rng) for identity in next(identities)])
                for _ in range(self.steps_per_epoch)
            ]
        )

    def _identities(self, rng):
        """Endless groups of P different identities; no identity comes twice before every other came once."""
        waiting = np.array([], int)
        while True:
            if len(waiting) < self.identities_per_batch:
                # Those already waiting come first; the new round must not repeat them in the same batch.
                fresh = rng.permutation(len(self._images))
                repeated = np.isin(fresh, waiting)
                waiting = np.concatenate([waiting, fresh[~repeated], fresh[repeated]])
            yield waiting[: self.identities_per_batch]
            waiting = waiting[self.identities_per_batch :]

    def _take(self, orders, identity, rng):
        taken = []
        while len(taken) < self.images_per_identity:
            image = next(orders[identity], None)
            if image is None:
                orders[identity] = iter(rng.permutation(self._images[identity]))
            elif image not in taken or len(self._images[identity]) <= self.images_per_identity:
                taken.append(image)
        return np.array(taken)
