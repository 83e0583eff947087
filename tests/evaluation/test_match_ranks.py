"""Ranks that are counted equal those of a full stable sort."""

import numpy as np
import pytest

from keras_cdd.evaluation.match_ranks import FEW_MATCHES, match_ranks


def sorted_ranks(distances, matches, junk):
    order = [position for position in np.argsort(distances, kind="stable") if position not in set(junk)]
    return [rank for rank, position in enumerate(order, 1) if position in set(matches)]


@pytest.mark.parametrize("levels", [2, 5, 1000])
@pytest.mark.parametrize("count", [1, 7, FEW_MATCHES + 1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ranks_are_those_of_a_stable_sort(levels, count, dtype):
    """Few levels make many ties, between matches, junk and others."""
    rng = np.random.default_rng(count + levels)
    distances = (rng.integers(0, levels, 400) / levels).astype(dtype)
    chosen = rng.permutation(400)
    matches, junk = np.sort(chosen[:count]), np.sort(chosen[count : count + 20])
    found = match_ranks(distances, matches, junk)
    np.testing.assert_array_equal(found, sorted_ranks(distances, matches, junk))


def test_without_matches_there_are_no_ranks():
    none = np.empty(0, np.int64)
    assert len(match_ranks(np.ones(3), none, np.array([1]))) == 0
