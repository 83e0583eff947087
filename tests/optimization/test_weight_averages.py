"""Moving averages of the weights: their values, their way through surgery, and their use."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cdd.experiment.optimizers import make_optimizer
from keras_cdd.layers import embedding_head
from keras_cdd.optimization import OPTIMIZERS
from keras_cdd.settings.config import TrainingConfig
from keras_cdd.surgery import plan_surgery, rebuild
from keras_cdd.surgery.optimizer_slots import slots

L = keras.layers


def network():
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = L.BatchNormalization(name="bn")(L.Conv2D(6, 3, name="first")(image))
    return keras.Model(image, embedding_head(L.Conv2D(8, 3, name="last")(L.ReLU()(x)), 4, num_classes=3))


def optimizer_of(model, name="sgd", ema=0.9, mixed=False, **options):
    config = TrainingConfig(optimizer=name, ema=ema, mixed_precision=mixed, learning_rate=0.1, **options)
    optimizer = make_optimizer(config, "neck", "student", epochs=4, steps_per_epoch=4)
    optimizer.build(model.trainable_variables)
    return optimizer


def step(model, optimizer, seed=0):
    random = np.random.default_rng(seed)
    scale = optimizer.scale_loss(tf.constant(1.0))
    gradients = [scale * random.normal(size=v.shape).astype("float32") for v in model.trainable_variables]
    optimizer.apply(gradients, model.trainable_variables)


def averages(model, optimizer):
    named = {name: np.asarray(slot) for name, slot, *_ in slots(optimizer, model.trainable_variables)}
    ends = {name.removesuffix("_average"): slot for name, slot in named.items() if name.endswith("_average")}
    return {variable.path: ends[variable.path.replace("/", "_")] for variable in model.trainable_variables}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("mixed", [False, True])
def test_averages_follow_the_weights_and_replace_them_when_asked(name, mixed):
    model = network()
    optimizer = optimizer_of(model, name, mixed=mixed)
    expected = {v.path: np.array(v) for v in model.trainable_variables}
    for number in range(3):
        step(model, optimizer, number)
        decay = min(0.9, (1 + number) / (10 + number))
        for variable in model.trainable_variables:
            expected[variable.path] = decay * expected[variable.path] + (1 - decay) * np.array(variable)
    for path, value in averages(model, optimizer).items():
        np.testing.assert_allclose(value, expected[path], rtol=1e-4, atol=1e-5, err_msg=path)
    getattr(optimizer, "inner_optimizer", optimizer).use_averages(model.trainable_variables)
    for variable in model.trainable_variables:
        np.testing.assert_allclose(variable, expected[variable.path], rtol=1e-4, atol=1e-5, err_msg=variable.path)


def test_without_a_decay_there_are_none():
    model = network()
    optimizer = optimizer_of(model, ema=0.0)
    before = [np.array(v) for v in model.trainable_variables]
    optimizer.use_averages(model.trainable_variables)
    assert not any("average" in slot.path for slot in optimizer.variables)
    for variable, value in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize("mixed", [False, True])
def test_they_go_through_surgery_and_go_on(mixed):
    model = network()
    optimizer = optimizer_of(model, mixed=mixed, gradient_clip=0.5, backbone_learning_rate=0.5)
    step(model, optimizer)
    old = averages(model, optimizer)
    plan = plan_surgery(model, target_params=0.7)
    slim, slim_optimizer = rebuild(model, plan, optimizer=optimizer)
    cut = averages(slim, slim_optimizer)
    kept = plan.cuts["first"].outputs
    np.testing.assert_allclose(cut["first/bias"], old["first/bias"][kept], rtol=1e-6)
    assert len(kept) < 6 or len(plan.cuts["last"].outputs) < 8
    step(slim, slim_optimizer)
    decay = 2 / 11
    for variable in slim.trainable_variables:
        expected = decay * cut[variable.path] + (1 - decay) * np.array(variable)
        found = averages(slim, slim_optimizer)[variable.path]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5, err_msg=variable.path)
    inner = getattr(slim_optimizer, "inner_optimizer", slim_optimizer)
    assert (inner.average_decay, inner.global_clipnorm, inner.other_lr_multiplier) == (0.9, 0.5, 0.5)


@pytest.mark.parametrize("mixed", [False, True])
def test_the_norm_of_all_gradients_together_is_clipped(mixed):
    def moved(clip, factor):
        model = network()
        before = [np.array(v) for v in model.trainable_variables]
        optimizer = optimizer_of(model, ema=0.0, mixed=mixed, gradient_clip=clip, weight_decay=0.0, warmup_epochs=0.0)
        scale = factor * optimizer.scale_loss(tf.constant(1.0))
        optimizer.apply([tf.fill(v.shape, scale) for v in model.trainable_variables], model.trainable_variables)
        heads = [1.5 if "head" in v.path else 1.0 for v in model.trainable_variables]
        steps = zip(before, model.trainable_variables, heads, strict=True)
        return np.sqrt(sum((((old - np.array(new)) / (0.1 * head)) ** 2).sum() for old, new, head in steps))

    assert moved(clip=2.0, factor=1.0) == pytest.approx(2.0, rel=1e-3)
    assert moved(clip=2.0, factor=0.001) == pytest.approx(moved(clip=0.0, factor=0.001), rel=1e-3)
