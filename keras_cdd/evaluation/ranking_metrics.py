"""What a ranking is worth."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class RankingMetrics:
    """Means over the queries that have a match in the gallery; fractions 0..1.

    Attributes:
        mAP: mean average precision, no interpolation.
        mINP: mean inverse negative penalty: matches divided by the rank of the last one (Ye et al., TPAMI
            2021).
        cmc: (ranks,) share of queries with a match among the first r + 1.
        num_valid_queries: how many count.
        average_precisions: (queries,), NaN where a query does not count.
        inverse_negative_penalties: (queries,), NaN where a query does not count.
    """

    mAP: float
    mINP: float
    cmc: np.ndarray
    num_valid_queries: int
    average_precisions: np.ndarray
    inverse_negative_penalties: np.ndarray

    @property
    def rank1(self):
        """Share of queries whose first result is a match."""
        return self.rank(1)

    @property
    def rank5(self):
        """Share of queries with a match among the first 5."""
        return self.rank(5)

    @property
    def rank10(self):
        """Share of queries with a match among the first 10."""
        return self.rank(10)

    def rank(self, k):
        """CMC at rank k, from 1. Beyond a small gallery's end it stays 1.

        Raises:
            ValueError: if the CMC was cut off before k.
        """
        if k <= len(self.cmc):
            return float(self.cmc[k - 1])
        if self.cmc[-1] < 1:
            raise ValueError(f"Rank {k} is beyond the CMC; raise `max_rank`. Received: max_rank={len(self.cmc)}")
        return 1.0

    def as_percent(self):
        """`mAP, mINP, rank1, rank5, rank10` in percent, to three decimals."""
        names = ("mAP", "mINP", "rank1", "rank5", "rank10")
        return {name: round(100 * getattr(self, name), 3) for name in names}
