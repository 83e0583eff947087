"""Surgery on models without an indicator: exact, with the optimizer, again and again."""

import keras
import numpy as np
import pytest

from keras_cdd.models import count_params
from keras_cdd.models.sites import sites
from keras_cdd.surgery import plan_surgery, rebuild, silence
from keras_cdd.surgery.channels import Channels
from tests.models.networks import images_for
from tests.models.sites.small import SMALL, depthwise, flattened, nested, plain, residual, squeezed
from tests.surgery.chain import OPTIMIZERS, assert_same, check, in_turn, step
from tests.surgery.stock import alive

L = keras.layers
CUTTABLE = [build for build, (found, _) in SMALL.items() if found and not build.__name__.startswith("gated")]


# test_optimizers.py cuts what each optimizer remembers.
@pytest.mark.parametrize("build, name", in_turn(CUTTABLE))
def test_small_networks(build, name, tmp_path):
    keras.utils.set_random_seed(0)
    # Dropout is random; that network trains as in inference.
    check(alive(build()), build is residual, OPTIMIZERS[name](), tmp_path, build is not flattened)


def test_what_is_made_as_zero_leaves():
    """Filters, their biases and all that is added on the way are zero, and ReLU keeps that."""
    model = alive(depthwise())
    found = sites(model)
    for layer in model.layers:
        for weight in layer.weights:
            if weight.name in ("beta", "moving_mean", "bias") and layer.name != "top":
                # Behind the multiplier, channel 4 is 8 and 9.
                positions = [4] if weight.shape == (6,) else [8, 9]
                weight.assign(np.where(np.isin(np.arange(weight.shape[0]), positions), 0, weight))
    kernel = model.get_layer("a").kernel
    kernel.assign(kernel * (np.arange(6) != 4))
    plan = plan_surgery(model)
    np.testing.assert_array_equal(plan.cuts["a"].outputs, [0, 1, 2, 3, 5])
    images = images_for(model)
    np.testing.assert_allclose(rebuild(model, plan)(images), model(images), atol=1e-5)
    assert found["a"].keeps_zero and not sites(squeezed())["a"].keeps_zero


def test_what_wakes_zeros_keeps_them():
    image = keras.Input((8, 8, 3))
    x = keras.ops.exp(L.Conv2D(4, 3, name="a", kernel_initializer="zeros")(image))
    model = keras.Model(image, L.Dense(2)(L.GlobalAveragePooling2D()(x)))
    assert plan_surgery(model).is_identity


@keras.saving.register_keras_serializable("tests")
class Nameless(L.Layer):
    """Its weight has no name, so Keras makes up another one for every copy."""

    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return x * self.factor


def test_weights_without_a_name_find_their_place():
    image = keras.Input((8, 8, 3))
    x = Nameless()(L.Conv2D(4, 3, name="a")(image))
    x = L.Dense(3, name="b")(L.GlobalAveragePooling2D()(x))
    model = keras.Model(image, L.Dense(2, name="top")(x))
    optimizer = OPTIMIZERS["sgd"]()
    optimizer.build(model.trainable_variables)
    step(model, optimizer, 0, True)
    plan = plan_surgery(model, importance_threshold=1.5, importance={"b": np.arange(3.0)})
    slim, slim_optimizer = rebuild(model, plan, optimizer=optimizer)
    assert_same(slim.layers[2].weights, model.layers[2].weights)
    momenta = [o.variables[4] for o in (slim_optimizer, optimizer)]
    assert momenta[0].shape == (4,)
    assert_same(momenta[:1], momenta[1:])


def test_sites_that_importance_does_not_name_stay_whole():
    model = plain()
    plan = plan_surgery(model, target_macs=0.8, importance={"a": np.array([0.0, 1, 2, 3, 4, 5])})
    assert list(plan.cuts) == ["a"]
    np.testing.assert_array_equal(plan.cuts["a"].outputs, np.arange(6)[-len(plan.cuts["a"].outputs) :])
    assert rebuild(model, plan).get_layer("b").filters == 5
    with pytest.raises(ValueError, match="importance.*'c'"):
        plan_surgery(model, target_macs=0.8, importance={"c": np.ones(3)})


def test_the_squeeze_leaves_where_importance_names_it():
    model = alive(squeezed())
    plan = plan_surgery(model, importance_threshold=1.0, importance={"squeeze": np.array([2.0, 0.0])})
    slim = rebuild(model, plan)
    assert slim.get_layer("squeeze").filters == 1 and count_params(slim) == plan.params[1]


def test_surgery_by_norms_empties_no_layer():
    """The first one costs most by far, and all its channels are alike."""
    image = keras.Input((32, 32, 3))
    x = L.Conv2D(16, 3, activation="relu")(image)
    for _ in range(2):
        x = L.Conv2D(16, 3, activation="relu")(L.MaxPooling2D()(x))
    model = keras.Model(image, L.Dense(2)(L.GlobalAveragePooling2D()(x)))
    plan = plan_surgery(model, target_macs=0.5)
    assert all(kept >= 6 for kept in plan.kept_filters.values())


def test_the_plan_prints_its_table():
    text = str(plan_surgery(nested(), target_macs=0.5))
    assert "backbone_conv" in text and "% of the MACs" in text


def test_without_a_site_there_is_no_surgery():
    image = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match="keras_cdd.sites"):
        plan_surgery(keras.Model(image, L.Conv2D(4, 3)(image)), target_macs=0.5)


def test_half_precision(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = alive(residual())
    finally:
        keras.config.set_dtype_policy("float32")
    plan = plan_surgery(model, target_params=0.5, residual=True)
    silence(model, plan)
    slim = rebuild(model, plan)
    assert {layer.compute_dtype for layer in slim.layers[1:]} == {"float16"}
    images = images_for(model)
    outputs = [keras.ops.convert_to_numpy(keras.ops.cast(m(images), "float32")) for m in (model, slim)]
    np.testing.assert_allclose(*outputs, atol=0.05 * np.abs(outputs[0]).max())


def test_a_rebuild_changes_no_ranking():
    """Channels that have left count neither as channels nor as costs."""
    model = alive(residual())
    silence(model, plan_surgery(model, target_macs=0.7, residual=True))
    slim = rebuild(model, plan_surgery(model, residual=True))
    before, after = (Channels(m, sites(m, residual=True)) for m in (model, slim))
    for name, values in after.comparable("macs").items():
        living = before.living()[name]
        assert not before.comparable("macs")[name][~living].any()
        np.testing.assert_allclose(values, before.comparable("macs")[name][living], rtol=1e-5)


def test_channels_that_have_left_do_not_come_back_into_a_budget():
    model = alive(residual())
    plan = plan_surgery(model, target_macs=0.5, residual=True)
    silence(model, plan)
    for target in (0.9, 0.7):
        again = plan_surgery(model, target_macs=target, residual=True)
        for name, cut in again.cuts.items():
            assert set(cut.outputs) <= set(plan.cuts[name].outputs)
