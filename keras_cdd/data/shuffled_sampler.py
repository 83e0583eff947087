"""Batches of shuffled images, for training without labels (NumPy)."""

import numpy as np

from keras_cdd.errors import UserError


class ShuffledSampler:
    """Shuffles all images in every epoch; the same seed and epoch give the same batches.

    What does not fill a batch is left out of the epoch.

    Args:
        count: number of images.
        batch_size: images per batch.
        seed: integer, at least 0; 0 by default.

    Attributes:
        batch_size: as given.
        steps_per_epoch: count // batch_size.

    Raises:
        UserError: if there are fewer images than `batch_size`.
    """

    def __init__(self, count, batch_size, seed=0):
        if not 1 <= batch_size <= count:
            raise UserError(
                f"A batch of {batch_size} images does not fit {count} training images; set --identities_per_batch and "
                "--images_per_identity, whose product is the size of a batch."
            )
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self.steps_per_epoch = count // batch_size

    def batches(self, epoch):
        """Positions of the images of an epoch, int64 (steps_per_epoch, batch_size)."""
        order = np.random.default_rng([self.seed, epoch]).permutation(self.count)
        return order[: self.steps_per_epoch * self.batch_size].reshape(self.steps_per_epoch, self.batch_size)
