"""The metrics of a ranking."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class RankingMetrics:
    """Metrics over the queries that have a match in the gallery (valid queries); fractions 0..1.

    Attributes:
        mAP: mean average precision, without interpolation.
        mINP: mean inverse negative penalty: number of matches divided by the rank of the last one (Ye et al., TPAMI
            2021).
        cmc: (ranks,); `cmc[r]` is the fraction of valid queries with a match among the first r + 1 results.
        num_valid_queries: number of valid queries.
        average_precisions: (queries,), NaN where a query is not valid.
        inverse_negative_penalties: (queries,), NaN where a query is not valid.
    """

    mAP: float
    mINP: float
    cmc: np.ndarray
    num_valid_queries: int
    average_precisions: np.ndarray
    inverse_negative_penalties: np.ndarray

    @property
    def rank1(self):
        """Fraction of valid queries whose first result is a match."""
        return self.rank(1)

    @property
    def rank5(self):
        """Fraction of valid queries with a match among the first 5 results."""
        return self.rank(5)

    @property
    def rank10(self):
        """Fraction of valid queries with a match among the first 10 results."""
        return self.rank(10)

    def rank(self, k):
        """CMC at rank k, counted from 1; beyond the end of a CMC that has reached 1 it is 1.0.

        Raises:
            ValueError: if k is beyond the end of the CMC and its last value is below 1.
        """
        if k <= len(self.cmc):
            return float(self.cmc[k - 1])
        if self.cmc[-1] < 1:
            raise ValueError(f"Rank {k} is beyond the CMC; raise `max_rank`. Received: max_rank={len(self.cmc)}")
        return 1.0

    def as_percent(self):
        """Dict of `mAP, mINP, rank1, rank5, rank10` in percent, rounded to three decimals."""
        names = ("mAP", "mINP", "rank1", "rank5", "rank10")
        return {name: round(100 * getattr(self, name), 3) for name in names}
