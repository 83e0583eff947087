"""Ranks of a query's matches, counted instead of sorted (NumPy)."""

import numpy as np

# Up to so many matches, counting what is nearer than each of them takes less time than sorting a gallery.
FEW_MATCHES = 128


def match_ranks(distances: np.ndarray, matches: np.ndarray, junk: np.ndarray) -> np.ndarray:
    """Ranks, from 1, of one query's matches in the ranking of all gallery images that are not junk.

    Equal distances rank in the order of the gallery.

    Args:
        distances: (gallery,), without NaN.
        matches: sorted positions of the matches, none of them junk.
        junk: sorted positions of the junk.

    Returns:
        (matches,) integers, ascending.
    """
    # Stable: equal matches stay in the order of the gallery.
    matches = matches[np.argsort(distances[matches], kind="stable")]
    nearer = _count_nearer(distances, matches)
    return 1 + nearer - _count_nearer_junk(distances, matches, junk)


def _count_nearer(distances: np.ndarray, matches: np.ndarray) -> np.ndarray:
    """How many gallery images rank before each match, junk included."""
    if len(matches) > FEW_MATCHES:
        ascending = np.sort(distances)
        nearer = np.searchsorted(ascending, distances[matches], "left")
        tied = np.searchsorted(ascending, distances[matches], "right") - nearer > 1
    else:
        nearer = np.array([np.count_nonzero(distances < distances[match]) for match in matches], np.int64)
        tied = np.ones(len(matches), bool)
    for place in np.flatnonzero(tied):
        match = matches[place]
        nearer[place] += np.count_nonzero(distances[:match] == distances[match])
    return nearer


def _count_nearer_junk(distances: np.ndarray, matches: np.ndarray, junk: np.ndarray) -> np.ndarray:
    """How many junk images rank before each match."""
    theirs, ours = distances[junk][None, :], distances[matches][:, None]
    before = (theirs < ours) | ((theirs == ours) & (junk[None, :] < matches[:, None]))
    return before.sum(1)
