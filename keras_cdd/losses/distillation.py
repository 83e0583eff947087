"""What the teacher hands down: logits, features, embeddings and their relations."""

from collections.abc import Sequence

from keras import ops

from keras_cdd.annotations import Tensor
from keras_cdd.losses.distances import safe_norm, unit_rows


def logit_distillation_loss(teacher_logits: Tensor, student_logits: Tensor, temperature: float = 2.0) -> Tensor:
    """`T^2 * KL(teacher || student)` of the softened predictions, mean over the batch (Hinton et al., 2015).

    Both arguments: (N, classes). No gradient reaches the teacher.

    Raises:
        ValueError: unless `temperature` is positive.
    """
    if temperature <= 0:
        raise ValueError(f"Argument `temperature` must be positive. Received: temperature={temperature}")
    teacher = ops.log_softmax(ops.stop_gradient(ops.cast(teacher_logits, "float32")) / temperature, axis=-1)
    student = ops.log_softmax(ops.cast(student_logits, "float32") / temperature, axis=-1)
    divergence = ops.sum(ops.exp(teacher) * (teacher - student), axis=-1)
    return temperature**2 * ops.mean(divergence)


def feature_distillation_loss(teacher_features: Sequence[Tensor], student_features: Sequence[Tensor]) -> Tensor:
    """Sum over blocks of the batch mean of the L2 distance between pooled features (FitNets, as CDD uses it).

    Both arguments: sequences of (N, C), a pair a block. Equal rows give gradient 0.

    Raises:
        ValueError: unless both hold as many blocks.
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
    """Mean of `1 - cosine` between the two embeddings of each image, (N, D) both."""
    teacher, student = _unit(teacher_embedding, teacher=True), _unit(student_embedding)
    return 1.0 - ops.mean(ops.sum(teacher * student, axis=-1))


def relation_distillation_loss(teacher_embedding: Tensor, student_embedding: Tensor) -> Tensor:
    """Squared difference of the batch's two cosine matrices, summed over each row, mean over rows.

    (N, D) both, D may differ. (Similarity-preserving distillation, Tung and Mori, ICCV 2019, on cosines.)
    """
    teacher, student = _unit(teacher_embedding, teacher=True), _unit(student_embedding)
    difference = ops.matmul(teacher, ops.transpose(teacher)) - ops.matmul(student, ops.transpose(student))
    return ops.mean(ops.sum(difference * difference, axis=-1))


def _unit(embedding: Tensor, teacher: bool = False) -> Tensor:
    embedding = ops.cast(embedding, "float32")
    return unit_rows(ops.stop_gradient(embedding) if teacher else embedding)
