"""All optimizers of a run apply factors on the learning rate by path."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cdd.experiment.optimizers import make_optimizer
from keras_cdd.layers import embedding_head
from keras_cdd.optimization import OPTIMIZERS, Adam, AdamW
from keras_cdd.settings.config import TrainingConfig
from keras_cdd.surgery.optimizer_slots import slots

TWO_RATES = TrainingConfig(head_learning_rate=3.0, backbone_learning_rate=0.5)


def two_layers():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(2, name="body")(inputs)
    return keras.Model(inputs, keras.layers.Dense(1, name="head_dense")(hidden))


def steps(optimizer, count=2):
    """Weight path -> how far steps with gradients of ones take it."""
    model = two_layers()
    before = {v.path: v.numpy() for v in model.trainable_variables}
    optimizer.build(model.trainable_variables)
    for _ in range(count):
        gradient = optimizer.scale_loss(tf.constant(1.0))
        gradients = [tf.fill(v.shape, gradient) for v in model.trainable_variables]
        optimizer.apply(gradients, model.trainable_variables)
    return {v.path: before[v.path] - v.numpy() for v in model.trainable_variables}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("mixed", [False, True])
def test_the_flag_scales_the_head_s_steps_and_no_others(name, mixed):
    def steps_with(factor):
        config = TrainingConfig(optimizer=name, head_learning_rate=factor, weight_decay=0.0, mixed_precision=mixed)
        return steps(make_optimizer(config, "neck", "student", epochs=4, steps_per_epoch=4), count=1)

    plain, faster = steps_with(1.0), steps_with(3.0)
    for path, step in plain.items():
        assert np.abs(step).max() > 0
        np.testing.assert_allclose(faster[path], step * (3.0 if path.startswith("head") else 1.0), rtol=1e-4)


@pytest.mark.parametrize("ours, theirs", [(Adam, keras.optimizers.Adam), (AdamW, keras.optimizers.AdamW)])
def test_without_factors_they_are_those_of_keras(ours, theirs):
    for path, step in steps(theirs(0.1)).items():
        np.testing.assert_allclose(steps(ours(0.1))[path], step, rtol=1e-4, atol=1e-7, err_msg=path)


def test_decay_follows_the_weight_s_own_rate():
    model = two_layers()
    optimizer = AdamW(0.1, weight_decay=0.5, lr_multipliers={"head": 2.0})
    before = {v.path: v.numpy() for v in model.trainable_variables}
    optimizer.build(model.trainable_variables)
    optimizer.apply([tf.zeros(v.shape) for v in model.trainable_variables], model.trainable_variables)
    # Without gradients, only the decay changes a weight.
    for variable in model.trainable_variables:
        left = 1 - 0.1 * 0.5 * (2.0 if variable.path.startswith("head") else 1.0)
        np.testing.assert_allclose(variable.numpy(), left * before[variable.path], rtol=1e-5)


@pytest.mark.parametrize("ours, theirs", [(Adam, keras.optimizers.Adam), (AdamW, keras.optimizers.AdamW)])
def test_slots_keep_the_names_of_keras_and_the_settings_come_back(ours, theirs):
    model, names = two_layers(), []
    optimizer = ours(0.1, lr_multipliers={"head": 2.0})
    for one in (optimizer, theirs(0.1)):
        one.build(model.trainable_variables)
        names.append({name for name, *_ in slots(one, model.trainable_variables)})
    assert names[0] == names[1]
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is ours and again.get_config() == optimizer.get_config()
    assert again.lr_multipliers == {"head": 2.0}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_flag_scales_the_backbone_s_steps_and_not_the_head_s(name):
    def steps_with(factor):
        config = TrainingConfig(optimizer=name, backbone_learning_rate=factor, weight_decay=0.0)
        return steps(make_optimizer(config, "neck", "student", epochs=4, steps_per_epoch=4), count=1)

    plain, slower = steps_with(1.0), steps_with(0.1)
    for path, step in plain.items():
        np.testing.assert_allclose(slower[path], step * (1.0 if path.startswith("head") else 0.1), rtol=1e-3)


def test_attention_heads_are_not_the_head():
    """Named `multi_head_attention` by Keras; the head's rate is found wherever the head is nested."""
    inputs = keras.Input((2, 3))
    attended = keras.layers.MultiHeadAttention(1, 2, name="multi_head_attention")(inputs, inputs)
    model = keras.Model(inputs, keras.layers.Dense(1, name="head_dense")(attended))
    optimizer = make_optimizer(TWO_RATES, "neck", "student", epochs=4, steps_per_epoch=4)
    optimizer.build(model.trainable_variables)
    for variable in model.trainable_variables:
        expected = 3.0 if variable.path.startswith("head_dense/") else 0.5
        assert optimizer.rate_factor(variable) == expected, variable.path


@pytest.mark.parametrize(
    "head, fast",
    [
        ("neck", {"head_bn1", "head_dense", "head_bn2", "head_logits"}),
        ("none", {"head_logits"}),
        ("linear", {"head_logits"}),
    ],
)
def test_a_linear_projection_follows_the_backbone(head, fast):
    image = keras.Input((8, 8, 3))
    outputs = embedding_head(keras.layers.Conv2D(4, 3, name="conv")(image), 2, num_classes=3, head=head)
    optimizer = make_optimizer(TWO_RATES, head, "teacher", epochs=4, steps_per_epoch=4)
    weights = keras.Model(image, outputs).trainable_variables
    optimizer.build(weights)
    assert {weight.path.split("/")[0] for weight in weights if optimizer.rate_factor(weight) == 3.0} == fast
    assert all(optimizer.rate_factor(weight) in (3.0, 0.5) for weight in weights)


def test_a_slash_is_the_start_of_a_layer_s_name():
    outer = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="ahead_1")], name="outer")
    with keras.name_scope("nested"):
        inner = keras.layers.Dense(1, name="head_1")
        inner.build((None, 2))
    variables = [*outer.trainable_variables, *inner.trainable_variables]
    assert variables[-1].path.startswith("nested/head_1/")
    for factors, expected in (({"/head_": 2.0}, [1, 1, 2, 2]), ({"head_": 2.0}, [2, 2, 2, 2])):
        optimizer = Adam(0.1, lr_multipliers=factors)
        optimizer.build(variables)
        assert [optimizer.rate_factor(variable) for variable in variables] == expected


@pytest.mark.parametrize("schedule", ["cosine", "multistep"])
@pytest.mark.parametrize(
    "given, stage, expected", [(0.5, "teacher", 0.5), (0.5, "student", 0.1), (0.0, "teacher", 0.1)]
)
def test_the_teacher_may_have_a_rate_of_its_own(schedule, given, stage, expected):
    config = TrainingConfig(learning_rate=0.1, teacher_learning_rate=given, warmup_epochs=0.0, schedule=schedule)
    optimizer = make_optimizer(config, "neck", stage, epochs=4, steps_per_epoch=4)
    assert float(optimizer.learning_rate) == pytest.approx(expected)
