"""Momentum SGD beyond the golden file: saving, scaling, precision, names."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cdd.optimization import MomentumSGD, WarmupCosine


def two_layers():
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(2, name="body")(inputs)
    return keras.Model(inputs, keras.layers.Dense(1, name="head")(hidden))


def test_a_step_by_hand():
    variable = keras.Variable([2.0], name="w")
    optimizer = MomentumSGD(0.1, momentum=0.5, coupled_weight_decay=0.25)
    optimizer.build([variable])
    # v = 1 + 0.25 * 2 = 1.5, w = 2 - 0.15; then, at another rate, v = 0.75 + 1 + 0.4625, w = 1.85 - 0.01 * v.
    optimizer.apply([tf.constant([1.0])], [variable])
    assert float(variable[0]) == pytest.approx(1.85)
    optimizer.learning_rate = 0.01
    optimizer.apply([tf.constant([1.0])], [variable])
    assert float(variable[0]) == pytest.approx(1.85 - 0.022125)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_multipliers_scale_the_steps_of_matching_paths(momentum):
    model = two_layers()
    before = [v.numpy() for v in model.trainable_variables]
    optimizer = MomentumSGD(0.1, momentum, lr_multipliers={"head": 1.5, "head/bias": 2.0})
    optimizer.build(model.trainable_variables)
    optimizer.apply([tf.ones(v.shape) for v in model.trainable_variables], model.trainable_variables)
    steps = [b - v.numpy() for b, v in zip(before, model.trainable_variables, strict=True)]
    for step, expected in zip(steps, (0.1, 0.1, 0.15, 0.3), strict=True):
        np.testing.assert_allclose(step, expected, rtol=1e-5)


def test_slots_keep_the_names_of_keras():
    model, names = two_layers(), []
    for optimizer in (MomentumSGD(0.1, 0.9), keras.optimizers.SGD(0.1, 0.9)):
        optimizer.build(model.trainable_variables)
        names.append([slot.path.split("/", 1)[1] for slot in optimizer.variables[2:]])
    assert names[0] == names[1] == [f"{v.path.replace('/', '_')}_momentum" for v in model.trainable_variables]


def test_loss_scaling_changes_no_step():
    models = [two_layers(), two_layers()]
    models[1].set_weights(models[0].get_weights())
    rate = WarmupCosine(0.1, 4, steps_per_epoch=1)
    plain, inner = (MomentumSGD(rate, 0.9, 0.01, {"head": 1.5}) for _ in range(2))
    scaled = keras.optimizers.LossScaleOptimizer(inner, initial_scale=1024.0)
    for optimizer, model in zip((plain, scaled), models, strict=True):
        optimizer.build(model.trainable_variables)

        @tf.function
        def step(optimizer=optimizer, model=model):
            with tf.GradientTape() as tape:
                loss = optimizer.scale_loss(tf.reduce_mean(model(tf.ones((2, 3))) ** 2))
            optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

        for _ in range(4):
            step()
    for a, b in zip(models[0].weights, models[1].weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_low_precision_gradients_reach_float32_weights():
    variable = keras.Variable(tf.ones(2))
    optimizer = MomentumSGD(0.5, 0.9, 0.1)
    optimizer.build([variable])
    optimizer.apply([tf.constant([1.0, 2.0], tf.bfloat16)], [variable])
    np.testing.assert_allclose(variable, [1 - 0.5 * 1.1, 1 - 0.5 * 2.1], rtol=1e-6)


def test_an_optimizer_survives_saving_within_its_model(tmp_path):
    model = two_layers()
    model.compile(MomentumSGD(WarmupCosine(0.1, 4, 2), 0.8, 0.01, {"head": 1.5}), loss="mse")
    images, targets = np.ones((4, 3), "float32"), np.ones((4, 1), "float32")
    model.fit(images, targets, epochs=1, batch_size=4, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(again.optimizer, MomentumSGD)
    assert again.optimizer.get_config() == model.optimizer.get_config()
    for network in (model, again):
        network.fit(images, targets, epochs=1, batch_size=4, verbose=0)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_kerass_own_weight_decay_is_refused():
    with pytest.raises(ValueError, match="coupled_weight_decay.*Received"):
        MomentumSGD(0.1, weight_decay=1e-4)
