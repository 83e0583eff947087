"""What the golden files do not say about the losses."""

import numpy as np
import pytest
import tensorflow as tf

from keras_cdd import losses


@pytest.fixture
def embeddings():
    rng = np.random.default_rng(0)
    return rng.normal(size=(8, 5)).astype("float32"), rng.normal(size=(8, 5)).astype("float32")


def test_a_perfect_student_loses_nothing_to_its_teacher(embeddings):
    teacher, _ = embeddings
    for loss in (losses.embedding_distillation_loss, losses.relation_distillation_loss):
        assert abs(float(loss(teacher, 3.0 * teacher))) < 1e-5


def test_relation_distillation_sees_no_rotation(embeddings):
    teacher, other = embeddings
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))
    assert float(losses.relation_distillation_loss(teacher, teacher @ rotation.astype("float32"))) < 1e-5
    assert float(losses.relation_distillation_loss(teacher, other)) > 0.1


def test_relation_distillation_by_hand():
    teacher = np.eye(2, dtype="float32")
    student = np.array([[1, 0], [1, 0]], "float32")
    # The cosine matrices differ by 1 in the two places off the diagonal: one a row.
    assert float(losses.relation_distillation_loss(teacher, student)) == pytest.approx(1.0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_low_precision_inputs_are_computed_in_float32(embeddings, dtype):
    low = tf.cast(embeddings[0], dtype)
    labels = tf.constant([0, 0, 1, 1, 2, 2, 3, 3])
    for value in (
        losses.identity_loss(labels, low),
        losses.triplet_loss(labels, low),
        losses.logit_distillation_loss(low, low),
        losses.feature_distillation_loss([low], [low]),
        losses.embedding_distillation_loss(low, low),
    ):
        assert value.dtype == tf.float32 and np.isfinite(value)


def test_proximal_step_gives_exact_zeros():
    kernel = np.array([[3.0, 0.3, 0.0], [4.0, 0.4, 0.0]], "float32").reshape(1, 1, 2, 3)
    shrunk = losses.proximal_step(kernel, 1.0).numpy()[0, 0]
    np.testing.assert_allclose(shrunk[:, 0], [3 * 0.8, 4 * 0.8], rtol=1e-6)
    assert not shrunk[:, 1:].any()


def test_unknown_mining_is_refused():
    with pytest.raises(ValueError, match="mining"):
        losses.triplet_loss(np.zeros(2, int), np.zeros((2, 3), "float32"), mining="hardest")
