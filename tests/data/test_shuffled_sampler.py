"""The documented properties of the sampler without labels."""

import numpy as np
import pytest

from keras_cdd.data.shuffled_sampler import ShuffledSampler
from keras_cdd.errors import UserError


def test_an_epoch_uses_no_image_twice_and_leaves_out_less_than_a_batch():
    sampler = ShuffledSampler(23, 5, seed=1)
    batches = sampler.batches(0)
    assert batches.shape == (4, 5) == (sampler.steps_per_epoch, sampler.batch_size)
    assert len(set(batches.ravel())) == 20 and set(batches.ravel()) <= set(range(23))


def test_the_same_seed_and_epoch_give_the_same_batches():
    sampler = ShuffledSampler(23, 5, seed=1)
    np.testing.assert_array_equal(sampler.batches(3), ShuffledSampler(23, 5, seed=1).batches(3))
    assert (sampler.batches(3) != sampler.batches(4)).any()
    assert (sampler.batches(3) != ShuffledSampler(23, 5, seed=2).batches(3)).any()


def test_too_few_images_are_refused():
    with pytest.raises(UserError, match="batch of 8 images does not fit 7 training images; set --identities_per_batch"):
        ShuffledSampler(7, 8)
