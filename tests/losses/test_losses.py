"""Properties of the losses that the golden files do not cover."""

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
        losses.relation_distillation_loss(low, low),
        losses.compression_loss([low[None, None]]),
        losses.compression_gradient(low[None, None]),
        losses.proximal_step(low[None, None], 0.5),
    ):
        assert value.dtype == tf.float32 and np.isfinite(value).all()


def test_half_precision_inputs_do_not_overflow():
    # 300 squared is beyond float16; images of an identity are equal, the identities 600 * sqrt(5) apart.
    far = tf.constant(np.repeat([[300.0], [-300.0]], 2, axis=0) * np.ones((1, 5)), tf.float16)
    assert float(losses.triplet_loss([0, 0, 1, 1], far)) == 0
    expected = 600 * 5**0.5 + 0.35
    assert float(losses.triplet_loss([0, 1, 0, 1], far)) == pytest.approx(expected, rel=1e-5)


def gradient_of(function, x):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return float(value), tape.gradient(value, x).numpy()


@pytest.mark.parametrize(
    "function",
    [
        lambda x: losses.feature_distillation_loss([np.ones((4, 3), "float32")], [x]),
        lambda x: losses.triplet_loss([0, 0, 1, 1], x),
        lambda x: losses.triplet_loss([0, 0, 1, 1], x, None, "batch_soft"),
    ],
)
def test_equal_rows_have_gradient_zero(function):
    value, gradient = gradient_of(tf.function(function), np.ones((4, 3), "float32"))
    assert np.isfinite(value) and not gradient.any()


@pytest.mark.parametrize(
    "function",
    [
        lambda x: losses.embedding_distillation_loss(np.ones((4, 3), "float32"), x),
        lambda x: losses.relation_distillation_loss(np.ones((4, 3), "float32"), x),
        lambda x: losses.triplet_loss([0, 0, 1, 1], x, normalize=True),
        lambda x: losses.compression_loss([x[None, None]]),
    ],
)
def test_zeros_have_a_finite_gradient(function):
    value, gradient = gradient_of(tf.function(function), np.zeros((4, 3), "float32"))
    assert np.isfinite(value) and np.isfinite(gradient).all()


@pytest.mark.parametrize("mining", ["batch_hard", "batch_soft"])
@pytest.mark.parametrize("margin", [0.35, None])
def test_a_batch_of_one_identity_asks_for_nothing(embeddings, mining, margin):
    value, gradient = gradient_of(lambda x: losses.triplet_loss([0] * 8, x, margin, mining), embeddings[0])
    assert value == 0 and not gradient.any()


def test_the_triplet_loss_ignores_the_order_of_the_batch(embeddings):
    labels, order = np.array([0, 0, 1, 1, 2, 2, 3, 3]), np.random.default_rng(2).permutation(8)
    for mining in ("batch_hard", "batch_soft"):
        value = losses.triplet_loss(labels, embeddings[0], mining=mining)
        shuffled = losses.triplet_loss(labels[order], embeddings[0][order], mining=mining)
        assert float(shuffled) == pytest.approx(float(value), rel=1e-5)


@pytest.mark.parametrize("scale", [1e-37, 1e-30, 1e-24, 1e-20, 1e-10, 1.0, 1e10, 1e30])
def test_the_compression_gradient_is_the_direction_at_any_scale(scale):
    kernel = np.array([[3.0, 0.0], [-4.0, 0.0]], "float32").reshape(1, 1, 2, 2) * np.float32(scale)
    for gradient in (losses.compression_gradient(kernel), tf.function(losses.compression_gradient)(kernel)):
        np.testing.assert_allclose(gradient[0, 0], [[0.6, 0], [-0.8, 0]], rtol=1e-5)


def test_the_compression_gradient_is_the_losss(embeddings):
    kernel = embeddings[0][None, None]
    _, gradient = gradient_of(lambda x: losses.compression_loss([x]), kernel)
    np.testing.assert_allclose(losses.compression_gradient(kernel), gradient, rtol=1e-5, atol=1e-6)


def test_the_proximal_step_minimises_its_own_objective(embeddings):
    kernel, threshold = embeddings[0][None, None], 0.7

    def objective(x):
        return float(threshold * losses.compression_loss([x]) + 0.5 * tf.reduce_sum((x - kernel) ** 2))

    best = losses.proximal_step(kernel, threshold)
    rng = np.random.default_rng(3)
    for _ in range(20):
        assert objective(best) < objective(best + 0.05 * rng.normal(size=kernel.shape).astype("float32"))


def test_proximal_step_gives_exact_zeros():
    kernel = np.array([[3.0, 0.3, 0.0], [4.0, 0.4, 0.0]], "float32").reshape(1, 1, 2, 3)
    shrunk = losses.proximal_step(kernel, 1.0).numpy()[0, 0]
    np.testing.assert_allclose(shrunk[:, 0], [3 * 0.8, 4 * 0.8], rtol=1e-6)
    assert not shrunk[:, 1:].any()


def test_unknown_mining_is_refused():
    with pytest.raises(ValueError, match="mining"):
        losses.triplet_loss(np.zeros(2, int), np.zeros((2, 3), "float32"), mining="hardest")


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda x: losses.identity_loss([0, 1], x, 1.0), "label_smoothing"),
        (lambda x: losses.logit_distillation_loss(x, x, 0.0), "temperature"),
        (lambda x: losses.feature_distillation_loss([x, x], [x]), "blocks"),
    ],
)
def test_wrong_arguments_are_refused(call, word):
    with pytest.raises(ValueError, match=f"{word}.*Received"):
        call(np.zeros((2, 3), "float32"))
