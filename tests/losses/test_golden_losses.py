"""Losses and their gradients against those of the authors' code, float32 against its float64 run."""

import numpy as np
import pytest
import tensorflow as tf

from keras_cdd import losses

# float32 has 24 bits; sums over a few thousand terms lose a few of them.
CLOSE = {"rtol": 2e-5, "atol": 2e-6}


def value_and_gradient(function, *inputs):
    inputs = [tf.constant(x) for x in inputs]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = function(*inputs)
    return value.numpy(), [g.numpy() for g in tape.gradient(value, inputs)]


def check(data, name, function, *inputs):
    value, (gradient, *_) = value_and_gradient(function, *inputs)
    np.testing.assert_allclose(value, data[f"{name}.loss_f64"], **CLOSE)
    np.testing.assert_allclose(gradient, data[f"{name}.grad_f64"], **CLOSE)


def test_golden_identity_loss(golden):
    data = golden("losses.npz")
    check(data, "ce_smooth_eps0.1", lambda x: losses.identity_loss(data["labels"], x), data["logits_s"])


@pytest.mark.parametrize("temperature", [2, 4])
def test_golden_logit_distillation_loss(golden, temperature):
    data = golden("losses.npz")
    check(
        data,
        f"kl_T{temperature}",
        lambda x: losses.logit_distillation_loss(data["logits_t"], x, temperature),
        data["logits_s"],
    )


@pytest.mark.parametrize("mining", ["batch_hard", "batch_soft"])
@pytest.mark.parametrize("margin", [None, 0.35])
@pytest.mark.parametrize("scale", ["raw", "norm"])
def test_golden_triplet_loss(golden, mining, margin, scale):
    data = golden("losses.npz")
    check(
        data,
        f"triplet.{mining}.margin_{margin}.{scale}",
        lambda x: losses.triplet_loss(data["labels"], x, margin, mining, normalize=scale == "norm"),
        data["feat"],
    )


@pytest.mark.parametrize("case", ["fitnet", "fitnet_zero_row"])
def test_golden_feature_distillation_loss(golden, case):
    data = golden("losses.npz")
    blocks = sum(key.startswith(f"{case}.s") for key in data)
    # The case with equal rows changes the students' rows only; its teachers are those of the other case.
    teachers = [data[f"fitnet.t{b}"] for b in range(blocks)]
    students = [data[f"{case}.s{b}"] for b in range(blocks)]
    value, gradients = value_and_gradient(lambda *s: losses.feature_distillation_loss(teachers, s), *students)
    np.testing.assert_allclose(value, data[f"{case}.loss"], **CLOSE)
    for block, gradient in enumerate(gradients):
        assert np.isfinite(gradient).all()
        np.testing.assert_allclose(gradient, data[f"{case}.grad_s{block}"], **CLOSE)


def test_golden_weighted_sum(golden):
    data = golden("losses.npz")
    labels, teachers = data["labels"], [data[f"fitnet.t{b}"] for b in range(3)]

    def parts(logits, feat, *students):
        return (
            losses.identity_loss(labels, logits),
            losses.triplet_loss(labels, feat),
            losses.logit_distillation_loss(data["logits_t"], logits),
            0.5 * losses.feature_distillation_loss(teachers, students),
        )

    inputs = [data["logits_s"], data["feat"], *(data[f"fitnet.s{b}"] for b in range(3))]
    for name, part in zip(("ce", "triplet", "kl", "fitnet_dl"), parts(*inputs), strict=True):
        np.testing.assert_allclose(part, data[f"make_loss.{name}"], **CLOSE)
    total, gradients = value_and_gradient(lambda *x: sum(parts(*x)), *inputs)
    np.testing.assert_allclose(total, data["make_loss.total_without_compactor"], **CLOSE)
    for name, gradient in zip(("logits_s", "feat", "s0", "s1", "s2"), gradients, strict=True):
        np.testing.assert_allclose(gradient, data[f"make_loss.grad_{name}"], **CLOSE)


def hwio(kernel):
    return kernel.transpose(2, 3, 1, 0)


def kernels(data):
    return [hwio(data[f"c{i}.compactor"]) for i in range(len(data["lasso_list"]))]


def test_golden_compression_loss(golden):
    data = golden("lasso.npz")
    for kernel, expected in zip(kernels(data), data["lasso_list"], strict=True):
        np.testing.assert_allclose(losses.compression_loss([kernel]), expected, rtol=1e-6)
    total = 0.004 * losses.compression_loss(kernels(data))
    np.testing.assert_allclose(total, data["lasso_sum_times_0.004"], rtol=1e-6)


def test_golden_compression_gradient(golden):
    data = golden("lasso.npz")
    for i, kernel in enumerate(kernels(data)):
        # Channels of norm 1e-10 leave float32's squares only a few bits in the reference.
        gradient = losses.compression_gradient(kernel).numpy()
        np.testing.assert_allclose(gradient, hwio(data[f"c{i}.autograd_grad"]), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(gradient, hwio(data[f"c{i}.processor_grad_w1"]), rtol=1e-4, atol=1e-5)


def test_golden_degenerate_channels_stay_finite(golden):
    data = golden("lasso.npz")
    kernel = hwio(data["degenerate.compactor"])
    gradient = losses.compression_gradient(kernel).numpy()[0, 0]
    reference = hwio(data["degenerate.autograd_grad"])[0, 0]
    norms = np.linalg.norm(kernel[0, 0].astype(np.float64), axis=0)
    np.testing.assert_allclose(np.linalg.norm(gradient, axis=0), norms > 0, rtol=1e-5)
    healthy = np.isfinite(reference).all(axis=0)
    assert 0 < healthy.sum() < healthy.size
    np.testing.assert_allclose(gradient[:, healthy], reference[:, healthy], rtol=1e-4, atol=1e-5)
