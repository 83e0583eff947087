"""The documented properties of the sampler."""

import numpy as np
import pytest

from keras_cdd.data.pk_sampler import PKSampler

LABELS = np.repeat(np.arange(10), 6)


def test_a_batch_holds_p_identities_with_k_different_images_each_side_by_side():
    sampler = PKSampler(LABELS, 4, 3, seed=1)
    batches = sampler.batches(0)
    assert batches.shape == (60 // 12, 12) == (sampler.steps_per_epoch, sampler.batch_size)
    for batch in batches:
        groups = LABELS[batch].reshape(4, 3)
        assert (groups == groups[:, :1]).all()
        assert len(set(groups[:, 0])) == 4
        assert len(set(batch)) == 12


def test_the_same_seed_and_epoch_give_the_same_batches():
    first, second = PKSampler(LABELS, 4, 3, seed=1), PKSampler(LABELS, 4, 3, seed=1)
    first.batches(0)
    np.testing.assert_array_equal(first.batches(3), second.batches(3))
    assert (first.batches(3) != first.batches(4)).any()
    assert (first.batches(3) != PKSampler(LABELS, 4, 3, seed=2).batches(3)).any()


def test_identities_and_images_are_used_equally_whatever_their_number():
    labels = np.repeat(np.arange(7), [2, 3, 4, 9, 9, 4, 25])
    batches = PKSampler(labels, 2, 2, seed=0).batches(0)
    uses = np.bincount(labels[batches].ravel(), minlength=7) // 2
    assert uses.max() - uses.min() <= 1
    images = np.bincount(batches.ravel(), minlength=len(labels))
    for identity in range(7):
        own = images[labels == identity]
        assert own.max() - own.min() <= 1


def test_identities_with_few_images_repeat_them():
    labels = np.array([0, 1, 1, 2, 2, 2])
    batch = PKSampler(labels, 3, 4).batches(0)[0]
    assert np.bincount(labels[batch]).tolist() == [4, 4, 4]
    assert set(batch) == set(range(6))


def test_an_epoch_has_at_least_one_step():
    assert PKSampler([0, 0, 1, 1], 2, 8).batches(0).shape == (1, 16)


def test_too_few_identities_are_refused():
    with pytest.raises(ValueError, match="training identities, 10. Received: identities_per_batch=11"):
        PKSampler(LABELS, 11, 2)
    with pytest.raises(ValueError, match="at least 1"):
        PKSampler(LABELS, 4, 0)
