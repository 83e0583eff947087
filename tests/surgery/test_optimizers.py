"""What an optimizer remembers goes through a surgery, or the optimizer is refused."""

import keras
import pytest

from keras_cdd.surgery import plan_surgery, rebuild, silence
from tests.models.sites.small import plain
from tests.surgery.chain import assert_same, step
from tests.surgery.stock import alive

optimizers = keras.optimizers
CARRIED = {
    # A large epsilon leaves rounding errors of vanishing gradients small.
    "sgd": lambda: optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    "rmsprop": lambda: optimizers.RMSprop(1e-3, momentum=0.9, centered=True, epsilon=1e-3),
    "adagrad": lambda: optimizers.Adagrad(1e-2, epsilon=1e-3),
    "adadelta": lambda: optimizers.Adadelta(1e-2, epsilon=1e-3),
    "adam": lambda: optimizers.Adam(1e-3, epsilon=1e-3, amsgrad=True),
    "adamw": lambda: optimizers.AdamW(1e-3, epsilon=1e-3, use_ema=True),
    "adamax": lambda: optimizers.Adamax(1e-3, epsilon=1e-3),
    "nadam": lambda: optimizers.Nadam(1e-3, epsilon=1e-3),
    "lion": lambda: optimizers.Lion(1e-4),
    "ftrl": lambda: optimizers.Ftrl(1e-3),
    "accumulated": lambda: optimizers.Adam(1e-3, epsilon=1e-3, gradient_accumulation_steps=2),
    "scaled": lambda: optimizers.LossScaleOptimizer(optimizers.Nadam(1e-3, epsilon=1e-3), initial_scale=1.0),
}


@pytest.mark.parametrize("name", CARRIED)
def test_the_next_step_is_that_of_the_uncut_model(name):
    keras.utils.set_random_seed(0)
    model, optimizer = alive(plain()), CARRIED[name]()
    optimizer.build(model.trainable_variables)
    for seed in (1, 2):
        step(model, optimizer, seed, True)
    plan = plan_surgery(model, target_macs=0.5)
    silence(model, plan, optimizer)
    slim, slim_optimizer = rebuild(model, plan, optimizer=optimizer)
    assert len(slim_optimizer.variables) == len(optimizer.variables)
    step(model, optimizer, 3, True)
    step(slim, slim_optimizer, 3, True)
    restricted, restricted_optimizer = rebuild(model, plan, optimizer=optimizer)
    assert_same(slim.weights, restricted.weights)
    assert_same(slim_optimizer.variables, restricted_optimizer.variables)


@pytest.mark.parametrize("wrap", [lambda optimizer: optimizer, optimizers.LossScaleOptimizer], ids=["alone", "scaled"])
def test_what_cannot_be_cut_with_the_weights_is_refused(wrap):
    """Adafactor remembers rows and columns, and its step depends on all entries of a weight."""
    model, optimizer = plain(), wrap(optimizers.Adafactor())
    optimizer.build(model.trainable_variables)
    with pytest.raises(ValueError, match="`optimizer`.*SGD, Adam and AdamW do. Received: Adafactor"):
        rebuild(model, plan_surgery(model, target_macs=0.5), optimizer=optimizer)
