"""Every training loss in one table: a new loss is a function and a row here."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keras_cdd.annotations import Tensor
from keras_cdd.losses.distillation import (
    embedding_distillation_loss,
    feature_distillation_loss,
    logit_distillation_loss,
    relation_distillation_loss,
)
from keras_cdd.losses.identity import identity_loss
from keras_cdd.losses.triplet import MININGS, triplet_loss


def _constant(default: Any, text: str, choices: Sequence[str] | None = None) -> Any:
    return dataclasses.field(default=default, metadata={"help": text, "choices": choices})


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Weight of every loss in `LOSSES`, and the constants of their formulas. A weight of 0 leaves a loss out.

    The paper (CDD, section 4.1) has 0 for `embedding` and `relation`.

    Attributes:
        identity, triplet, logit, feature, embedding, relation: weights, at least 0.
        label_smoothing: share of the identity target that is spread over all classes, in [0, 1).
        margin: of the triplet loss, in units of the features; None is the soft margin.
        mining: of the triplet loss, one of `MININGS`.
        temperature: of logit distillation, positive.
    """

    identity: float = 1.0
    triplet: float = 1.0
    logit: float = 1.0
    feature: float = 0.5
    embedding: float = 5.0
    relation: float = 1.0
    label_smoothing: float = _constant(0.1, "Of the identity loss.")
    margin: float | None = _constant(0.35, "Of the triplet loss; negative for the soft margin.")
    mining: str = _constant("batch_hard", "Of the triplet loss.", MININGS)
    temperature: float = _constant(2.0, "Of logit distillation.")


@dataclasses.dataclass(frozen=True)
class LossInputs:
    """What a loss of the table may read; tensors of one batch of N images.

    Attributes:
        labels: (N,) integers.
        student: the student's outputs, `features`, `embedding` and `logits`.
        teacher: the teacher's outputs, None without a teacher.
        feature_pairs: function without arguments that gives the teacher's and the student's pooled convolution outputs,
            two lists of (N, C), a pair a block.
        constants: `LossWeights`.
    """

    labels: Tensor
    student: Mapping[str, Tensor]
    teacher: Any
    feature_pairs: Callable[[], tuple[Sequence[Tensor], Sequence[Tensor]]]
    constants: LossWeights


@dataclasses.dataclass(frozen=True)
class Loss:
    """A row of the table.

    Attributes:
        text: what the loss's weight is called in a command's help.
        function: `LossInputs` -> scalar.
        needs_teacher: whether it compares with a teacher; without one it is left out.
        needs_embedding: whether the teacher's embedding is all that it reads of it.
    """

    text: str
    function: Callable[[LossInputs], Tensor]
    needs_teacher: bool = False
    needs_embedding: bool = False


LOSSES = {
    "identity": Loss(
        "Of the identity loss.",
        lambda x: identity_loss(x.labels, x.student["logits"], x.constants.label_smoothing),
    ),
    "triplet": Loss(
        "Of the triplet loss.",
        lambda x: triplet_loss(x.labels, x.student["features"], x.constants.margin, x.constants.mining),
    ),
    "logit": Loss(
        "Of logit distillation.",
        lambda x: logit_distillation_loss(x.teacher["logits"], x.student["logits"], x.constants.temperature),
        needs_teacher=True,
    ),
    "feature": Loss(
        "Of feature distillation.",
        lambda x: feature_distillation_loss(*x.feature_pairs()),
        needs_teacher=True,
    ),
    "embedding": Loss(
        "Of embedding distillation.",
        lambda x: embedding_distillation_loss(x.teacher["embedding"], x.student["embedding"]),
        needs_teacher=True,
        needs_embedding=True,
    ),
    "relation": Loss(
        "Of relational distillation.",
        lambda x: relation_distillation_loss(x.teacher["embedding"], x.student["embedding"]),
        needs_teacher=True,
        needs_embedding=True,
    ),
}
