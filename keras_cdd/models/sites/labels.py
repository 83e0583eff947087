"""Labels of channels: which ones are the same channel, and which must stay."""

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


class Labels:
    """Labels are numbers; arrays of them name the channels of a tensor or of a weight's axis.

    Merging only notes what belongs together. `resolve` joins everything at once, in linear time.
    """

    def __init__(self) -> None:
        self._count = 0
        self._merged: list[tuple[np.ndarray, np.ndarray]] = []
        self._frozen: list[tuple[np.ndarray, str]] = []

    def fresh(self, count: int) -> np.ndarray:
        """New labels, (count,)."""
        self._count += count
        return np.arange(self._count - count, self._count)

    def merge(self, first: np.ndarray, second: np.ndarray) -> None:
        """Notes that equally many channels are the same, pair by pair: they leave together."""
        if first is not second:
            self._merged.append((first, second))

    def freeze(self, labels: np.ndarray, reason: str) -> None:
        """Notes why channels cannot leave; the first reason counts."""
        self._frozen.append((labels, reason))

    def resolve(self) -> tuple[np.ndarray, dict[int, str]]:
        """`(classes, reasons)`: class of every label, (labels,), and class -> reason of those that cannot leave."""
        none = np.empty(0, int)
        first = np.concatenate([none, *(pair[0] for pair in self._merged)])
        second = np.concatenate([none, *(pair[1] for pair in self._merged)])
        pairs = coo_matrix((np.ones(len(first), bool), (first, second)), shape=(self._count, self._count))
        classes = connected_components(pairs, directed=False)[1]
        reasons: dict[int, str] = {}
        for labels, reason in self._frozen:
            for one in np.unique(classes[labels]).tolist():
                reasons.setdefault(one, reason)
        return classes, reasons
