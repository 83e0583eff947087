"""How much each loss counts."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Weights and constants of the training losses; a weight of 0 leaves a loss out. Defaults are the paper's.

    Attributes:
        identity, triplet, logit, feature, embedding, relation: weights.
        label_smoothing, margin, mining, temperature: see `keras_cdd.losses`; a margin of None is the soft margin.
    """

    identity: float = 1.0
    triplet: float = 1.0
    logit: float = 1.0
    feature: float = 0.5
    embedding: float = 0.0
    relation: float = 0.0
    label_smoothing: float = 0.1
    margin: float | None = 0.35
    mining: str = "batch_hard"
    temperature: float = 2.0
