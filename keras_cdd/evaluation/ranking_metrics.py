"""What a ranking is worth."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class RankingMetrics:
    """Means over the queries that have a match in the gallery; fractions 0..1.

    Attributes:
        m_ap: mean average precision, no interpolation.
        m_inp: mean inverse negative penalty: matches divided by the rank of the last one (Ye et al., TPAMI 2021).
        cmc: (max_rank,) share of queries with a match among the first r + 1.
        average_precisions: (queries,), NaN where a query does not count.
        num_valid_queries: how many count.
    """

    m_ap: float
    m_inp: float
    cmc: np.ndarray
    average_precisions: np.ndarray
    num_valid_queries: int

    def rank(self, k):
        """CMC at rank k, from 1."""
        return float(self.cmc[min(k, len(self.cmc)) - 1])

    def as_percent(self):
        """`mAP, mINP, rank1, rank5, rank10` in percent."""
        values = {"mAP": self.m_ap, "mINP": self.m_inp, **{f"rank{k}": self.rank(k) for k in (1, 5, 10)}}
        return {name: round(100 * float(value), 3) for name, value in values.items()}
