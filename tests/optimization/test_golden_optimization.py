"""Schedules and momentum SGD against torch's."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cdd.optimization import MomentumSGD, WarmupCosine, WarmupMultiStep


@pytest.mark.parametrize("name", ["cosine", "cosine_constwarm", "cosine_paper"])
def test_golden_cosine(golden, name):
    data = golden("lr.npz")
    if f"{name}.hp" not in data:
        pytest.skip(f"lr.npz holds no {name}")
    base, last, delay, minimum, factor, warmup_epochs = data[f"{name}.hp"]
    warmup = "constant" if "constwarm" in name else "linear"
    schedule = WarmupCosine(base, last, 7, delay, minimum, warmup_epochs, factor, warmup)
    expected = data[f"{name}.lr_epoch1_to_N"][:, 0]
    rates = [float(schedule(tf.constant(7 * epoch + 6))) for epoch in range(len(expected))]
    # float32 cannot hold a small rate left of a large cosine better than 1e-7 of the base.
    np.testing.assert_allclose(rates, expected, rtol=1e-5, atol=1e-7 * base)


def test_golden_multistep(golden):
    data = golden("lr.npz")
    base, gamma, factor, warmup_epochs = data["multistep.hp"]
    schedule = WarmupMultiStep(base, data["multistep.milestones"].tolist(), 3, gamma, warmup_epochs, factor)
    expected = data["multistep.lr_epoch1_to_N"][:, 0]
    rates = [float(schedule(tf.constant(3 * epoch))) for epoch in range(len(expected))]
    np.testing.assert_allclose(rates, expected, rtol=1e-5)


def test_golden_sgd(golden):
    data = golden("lr.npz")
    _, momentum, weight_decay, factor = data["sgd.hp_baselr_momentum_wd_fcmult"]
    names = ["conv.weight", "conv.bias", "classifier.weight"]
    variables = [keras.Variable(data[f"sgd.w0.{name}"], name=name) for name in names]
    optimizer = MomentumSGD(0.1, momentum, weight_decay, lr_multipliers={"classifier": factor})
    optimizer = MomentumSGD.from_config(optimizer.get_config())
    optimizer.build(variables)
    for step, rates in enumerate(data["sgd.lr_per_step_per_param"]):
        optimizer.learning_rate = rates[0]
        optimizer.apply([tf.constant(data[f"sgd.grad.{name}"][step]) for name in names], variables)
        for name, variable in zip(names, variables, strict=True):
            np.testing.assert_allclose(variable, data[f"sgd.w_after.{name}"][step], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("schedule", [WarmupCosine(0.1, 9, 4), WarmupMultiStep(0.1, [3, 5], 4)])
def test_a_schedule_survives_saving(schedule):
    again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(schedule))
    assert [float(again(s)) for s in range(40)] == [float(schedule(s)) for s in range(40)]
