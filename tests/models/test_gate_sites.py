"""Indicators at the sites of stock models: outputs stay to the bit, and a zero takes away all effect of a channel."""

import functools

import keras
import numpy as np
import pytest

import keras_cdd
from keras_cdd.errors import UserError
from keras_cdd.layers import ChannelIndicator, DiagonalIndicator
from keras_cdd.models import count_macs, count_params
from keras_cdd.surgery import fuse, plan_surgery, rebuild
from tests.models.networks import images_for
from tests.models.sites.small import (
    SMALL,
    composite,
    concatenated,
    depthwise,
    frozen,
    gated,
    gated_bottlenecks,
    gated_diagonal,
    gated_stream,
    grouped_as_depthwise,
    indicated,
    plain,
    residual,
    squeezed,
)
from tests.surgery.stock import alive, flat_outputs

L = keras.layers
KINDS = {"dense": ChannelIndicator, "diagonal": DiagonalIndicator}
# Sites without a place: what reads a channel reads others with it, or the channel several times, or is a gated block;
# several make it, or a gated block does.
NO_PLACE = {
    "diagonal": {
        depthwise: {"a"},
        grouped_as_depthwise: {"a"},
        concatenated: {"a", "b"},
        indicated: {"a", "c"},
        gated: {"stem"},
        gated_diagonal: {"stem"},
        gated_stream: {"stem"},
    },
    "dense": {
        residual: {"stem"},
        composite: {"stem"},
        indicated: {"indicator"},
        gated: {"stem", "cut/conv3"},
        gated_diagonal: {"stem", "cut/conv3"},
        gated_bottlenecks: {"a/conv3", "b/conv3"},
    },
}
NOTHING = {
    (frozen, "dense"),
    (frozen, "diagonal"),
    (depthwise, "diagonal"),
    (grouped_as_depthwise, "diagonal"),
    (gated_stream, "dense"),
    (gated_bottlenecks, "diagonal"),
}
CASES = [(build, kind) for build in SMALL for kind in KINDS if (build, kind) not in NOTHING]
IDS = [f"{build.__name__}-{kind}" for build, kind in CASES]


def network(build):
    keras.utils.set_random_seed(0)
    return alive(build())


def indicators_of(model):
    return [layer for layer in model.layers if isinstance(layer, (ChannelIndicator, DiagonalIndicator))]


def trained(model, seed=0):
    """The model with indicators as after a training."""
    rng = np.random.default_rng(seed)
    for layer in indicators_of(model):
        noise = rng.uniform(-0.3, 0.3, layer.kernel.shape)
        layer.kernel.assign(layer.kernel * (1 + noise) + (0.2 * noise if isinstance(layer, ChannelIndicator) else 0))
    return model


@functools.cache
def _trained(build, kind):
    return trained(keras_cdd.gate_model(network(build), indicator=kind, residual=True))


@pytest.fixture
def heavy(build, kind):
    """A network with indicators as after a training, built once for several tests."""
    model = _trained(build, kind)
    weights = model.get_weights()
    yield model
    model.set_weights(weights)


def assert_stock(model):
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)


@pytest.mark.parametrize("build, kind", CASES, ids=IDS)
def test_small_networks(build, kind, tmp_path):
    model = network(build)
    images, weights = images_for(model, 2), model.get_weights()
    expected = flat_outputs(model, images)
    model_sites = keras_cdd.sites(model, residual=True)
    heavy = keras_cdd.gate_model(model, indicator=kind, residual=True)
    np.testing.assert_array_equal(flat_outputs(heavy, images), expected)
    for array, weight in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(array, weight)
    found = keras_cdd.sites(heavy, residual=True)
    # One site for producer and indicator, under the name that it had.
    assert {name: site.channels for name, site in found.items()} == SMALL[build][True]
    assert {name: site.full_channels for name, site in found.items()} == {
        name: site.full_channels for name, site in model_sites.items()
    }
    assert {name for name in found if found[name].indicator is None} == NO_PLACE[kind].get(build, set())
    new = [name for name in found if found[name].indicator != model_sites[name].indicator]
    assert new and {found[name].indicator_kind for name in new} == {kind}
    assert count_macs(heavy) == count_macs(model)
    heavy.save(tmp_path / "heavy.keras")
    loaded = keras.saving.load_model(tmp_path / "heavy.keras")
    np.testing.assert_array_equal(flat_outputs(loaded, images), expected)
    assert str(keras_cdd.sites(loaded, residual=True)) == str(found)


@pytest.mark.parametrize("build, kind", CASES, ids=IDS)
def test_both_kinds_fold(build, kind, heavy):
    images = images_for(heavy, 2)
    expected, deploy = flat_outputs(heavy, images), fuse(heavy)
    assert_stock(deploy)
    np.testing.assert_allclose(flat_outputs(deploy, images), expected, atol=1e-5 * max(1, np.abs(expected).max()))
    # What folds nowhere: the indicator of a concatenation.
    left = [layer.name for layer in deploy.layers if "indicator" in layer.name]
    assert left == (["indicator"] if build is indicated else [])
    if build is not indicated:
        assert count_macs(heavy) == count_macs(deploy) and count_params(heavy) == count_params(deploy)


def silenced(found, names):
    """Zeros in every second channel of sites, wherever they take effect; site -> what stays."""
    staying = {}
    for name in names:
        site = found[name]
        staying[name] = np.resize([1.0, 0.0], site.channels)
        for slot in site.effects:
            weight = found.variables[slot.path]
            array = np.moveaxis(weight.numpy(), slot.axis, 0)
            array[slot.positions[1::2]] = 0.0
            weight.assign(np.moveaxis(array, 0, slot.axis))
    return staying


@pytest.mark.parametrize("build, kind", CASES, ids=IDS)
def test_zeros_take_away_all_effect(build, kind, heavy):
    images, whole = images_for(heavy, 2), keras_cdd.sites(heavy, residual=True)
    names = [name for name, site in whole.items() if site.indicator is not None and name in whole.flows]
    before = flat_outputs(heavy, images)
    importance = {name: np.ones(site.channels) for name, site in whole.items()} | silenced(whole, names)
    plan = plan_surgery(heavy, importance_threshold=0.5, importance=importance, residual=True)
    slim = rebuild(heavy, plan)
    assert count_macs(slim) == plan.macs[1] < plan.macs[0]
    expected = flat_outputs(heavy, images)
    size = max(1, np.abs(expected).max())
    assert np.abs(before - expected).max() > 1e-3 * size
    np.testing.assert_allclose(flat_outputs(slim, images), expected, atol=1e-5 * size)
    found = keras_cdd.sites(slim, residual=True)
    for name in names:
        assert found[name].full_channels == found.indicator(name).full_channels == whole[name].channels
        assert found.indicator(name).output_channels == list(range(0, whole[name].channels, 2))


def test_before_the_fork_of_a_squeeze_excitation():
    image = keras.Input((8, 8, 3))
    x = L.ReLU(name="fork")(L.Conv2D(8, 3, name="a")(image))
    s = L.Reshape((1, 1, 8))(L.GlobalAveragePooling2D()(x))
    s = L.Conv2D(8, 1, activation="sigmoid", name="excite")(L.Conv2D(2, 1, activation="relu", name="squeeze")(s))
    x = L.GlobalAveragePooling2D()(L.Conv2D(5, 1, name="b")(x * s))
    heavy = keras_cdd.gate_model(alive(keras.Model(image, L.Dense(3)(x))), indicator="diagonal")
    assert heavy.get_layer("a_indicator").input is heavy.get_layer("fork").output
    site = keras_cdd.sites(heavy)["a"]
    assert [slot.path for slot in site.effects] == ["a_indicator/kernel"]
    deploy = fuse(trained(heavy))
    # The factors are in both readers: the excitation's squeeze, and what follows the product.
    for name in ("squeeze", "b"):
        factors = heavy.get_layer("a_indicator").kernel.numpy()[0, 0, 0]
        expected = heavy.get_layer(name).kernel.numpy()[0, 0] * factors[:, None]
        np.testing.assert_allclose(deploy.get_layer(name).kernel.numpy()[0, 0], expected, rtol=1e-5)


def test_factors_fold_through_a_concatenation_and_into_a_layer_that_is_called_twice():
    image, last = keras.Input((8, 8, 3)), L.Conv2D(5, 3, name="c")
    x = [L.ReLU()(L.Conv2D(6, 3, name="b")(image)), image[:, 1:-1, 1:-1], L.ELU()(L.Conv2D(4, 3, name="a")(image))]
    x = L.Concatenate()(x)
    ends = [L.GlobalMaxPooling2D()(last(each)) for each in (x, L.AveragePooling2D(2)(x))]
    model = keras.Model(image, [L.Dense(3, name=f"top{number}")(end) for number, end in enumerate(ends)])
    heavy = trained(keras_cdd.gate_model(model, indicator="diagonal"))
    images, deploy = images_for(heavy, 2), fuse(heavy)
    assert {layer.name for layer in indicators_of(heavy)} == {"a_indicator", "b_indicator", "c_indicator"}
    assert [layer.name for layer in deploy.layers if "indicator" in layer.name] == []
    np.testing.assert_allclose(flat_outputs(deploy, images), flat_outputs(heavy, images), atol=1e-5)


def test_a_factor_that_would_be_squared_does_not_fold():
    image = keras.Input((8, 8, 3))
    x = DiagonalIndicator(name="indicator")(L.ReLU()(L.Conv2D(4, 3)(image)))
    model = trained(keras.Model(image, L.Conv2D(5, 1)(L.Multiply()([x, L.GlobalAveragePooling2D(keepdims=True)(x)]))))
    images, deploy = images_for(model, 2), fuse(model)
    assert isinstance(deploy.get_layer("indicator"), L.DepthwiseConv2D)
    np.testing.assert_allclose(flat_outputs(deploy, images), flat_outputs(model, images), atol=1e-5)


def test_gating_again_keeps_what_is_there():
    heavy = keras_cdd.gate_model(network(residual), indicator="dense")
    both = keras_cdd.gate_model(heavy, indicator="diagonal", residual=True)
    kinds = {name: site.indicator_kind for name, site in keras_cdd.sites(both, residual=True).items()}
    assert kinds == {"stem": "diagonal", "a1": "dense", "b1": "dense"}
    with pytest.raises(UserError, match="or all have an indicator"):
        keras_cdd.gate_model(both, indicator="diagonal")


def test_half_precision_stays():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = squeezed()
    finally:
        keras.config.set_dtype_policy("float32")
    images = images_for(model, 2)
    for kind in KINDS:
        heavy = keras_cdd.gate_model(model, indicator=kind)
        np.testing.assert_array_equal(flat_outputs(heavy, images), flat_outputs(model, images))
        assert {layer.dtype_policy.name for layer in indicators_of(heavy)} == {"mixed_float16"}


def test_what_cannot_be_gated_is_refused_with_the_reason():
    with pytest.raises(UserError, match="a: top reads its channels among others, or several times each"):
        keras_cdd.gate_model(depthwise(), indicator="diagonal")
    with pytest.raises(UserError, match="no channels can leave, `keras_cdd.sites` says why"):
        keras_cdd.gate_model(frozen(), indicator="dense")
    with pytest.raises(ValueError, match="Argument `indicator` must be .* Received: indicator='round'"):
        keras_cdd.gate_model(plain(), indicator="round")
