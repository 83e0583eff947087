"""Distillation losses on logits, features, embeddings and relations. No gradient reaches the teacher."""

from collections.abc import Sequence

from keras import ops

from keras_cdd.annotations import Tensor
from keras_cdd.losses.distances import safe_norm, unit_rows


def logit_distillation_loss(teacher_logits: Tensor, student_logits: Tensor, temperature: float = 2.0) -> Tensor:
    """`T^2 * KL(teacher || student)` of the softened predictions, mean over the batch (Hinton et al., 2015).

    Args:
        teacher_logits, student_logits: (N, classes).
        temperature: T; both logits are divided by it. Default: 2.

    Returns:
        Scalar float32.

    Raises:
        ValueError: if `temperature` is not positive.
    """
    if temperature <= 0:
        raise ValueError(f"Argument `temperature` must be positive. Received: temperature={temperature}")
    teacher = ops.log_softmax(ops.stop_gradient(ops.cast(teacher_logits, "float32")) / temperature, axis=-1)
    student = ops.log_softmax(ops.cast(student_logits, "float32") / temperature, axis=-1)
    divergence = ops.sum(ops.exp(teacher) * (teacher - student), axis=-1)
    return temperature**2 * ops.mean(divergence)


def feature_distillation_loss(teacher_features: Sequence[Tensor], student_features: Sequence[Tensor]) -> Tensor:
    """Sum over blocks of the batch mean of the L2 distance between pooled features (FitNets, as used by CDD).

    The gradient is 0 where a teacher's and a student's row are equal.

    Args:
        teacher_features, student_features: one (N, C) tensor per block, of the same C in both.

    Returns:
        Scalar float32.

    Raises:
        ValueError: if the two sequences differ in length.
    """
    if len(teacher_features) != len(student_features):
        raise ValueError(
            "Teacher and student must have as many feature blocks. "
            f"Received: {len(teacher_features)} and {len(student_features)}"
        )
    return sum(
        ops.mean(safe_norm(ops.stop_gradient(ops.cast(teacher, "float32")) - ops.cast(student, "float32")))
        for teacher, student in zip(teacher_features, student_features, strict=True)
    )


def embedding_distillation_loss(teacher_embedding: Tensor, student_embedding: Tensor) -> Tensor:
    """Mean over the batch of `1 - cosine` between the teacher's and the student's embedding of an image.

    Args:
        teacher_embedding, student_embedding: (N, D).

    Returns:
        Scalar float32, 0 to 2.
    """
    teacher, student = _unit(teacher_embedding, teacher=True), _unit(student_embedding)
    return 1.0 - ops.mean(ops.sum(teacher * student, axis=-1))


def relation_distillation_loss(teacher_embedding: Tensor, student_embedding: Tensor) -> Tensor:
    """Squared difference of the batch's two cosine matrices, summed over each row, mean over rows.

    Similarity-preserving distillation (Tung and Mori, ICCV 2019), here on cosines.

    Args:
        teacher_embedding, student_embedding: (N, D); D may differ between the two.

    Returns:
        Scalar float32.
    """
    teacher, student = _unit(teacher_embedding, teacher=True), _unit(student_embedding)
    difference = ops.matmul(teacher, ops.transpose(teacher)) - ops.matmul(student, ops.transpose(student))
    return ops.mean(ops.sum(difference * difference, axis=-1))


def _unit(embedding: Tensor, teacher: bool = False) -> Tensor:
    embedding = ops.cast(embedding, "float32")
    return unit_rows(ops.stop_gradient(embedding) if teacher else embedding)
