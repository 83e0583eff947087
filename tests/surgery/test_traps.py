"""Traps of Keras' graphs, a small network each."""

import keras
import numpy as np
import pytest
from keras.src.applications.convnext import LayerScale

import keras_cdd
from keras_cdd.distill.taps import Taps
from keras_cdd.layers.feature_recorder import FeatureRecorder
from tests.models.networks import images_for
from tests.surgery.chain import OPTIMIZERS, check
from tests.surgery.stock import alive, flat_outputs

L = keras.layers


def with_inner_outputs():
    """The model inside has two outputs; one is also read inside."""
    inner = keras.Input((8, 8, 6))
    hidden = L.Conv2D(5, 1, activation="relu", name="hidden")(inner)
    backbone = keras.Model(inner, [hidden, L.Conv2D(4, 3, name="last")(hidden)], name="backbone")
    image = keras.Input((8, 8, 3))
    maps = backbone(L.Conv2D(6, 3, padding="same", name="stem")(image))
    return keras.Model(image, [L.Dense(2, name=f"top{i}")(L.GlobalAveragePooling2D()(x)) for i, x in enumerate(maps)])


def test_an_inner_tensor_of_a_nested_model_cannot_be_an_outer_output(tmp_path):
    """So what passes at a site inside is looked at in the opened graph."""
    model = alive(with_inner_outputs())
    inner = model.get_layer("backbone").get_layer("hidden").output
    with pytest.raises(ValueError, match="not connected"):
        keras.Model(model.inputs, inner)
    found, images = keras_cdd.sites(model), images_for(model)
    assert {name: site.channels for name, site in found.items()} == {"stem": 6, "hidden": 5, "last": 4}
    with FeatureRecorder() as recorder:
        outputs = Taps(found, ["hidden"])(images)
    np.testing.assert_allclose(
        np.concatenate([x.numpy().ravel() for x in outputs]), flat_outputs(model, images), atol=1e-6
    )
    hidden, stem = model.get_layer("backbone").get_layer("hidden"), model.get_layer("stem")
    before_activation = keras.ops.conv(stem(images), hidden.kernel) + hidden.bias
    np.testing.assert_allclose(
        recorder.convolution["hidden"], keras.ops.mean(before_activation, axis=(1, 2)), rtol=1e-4, atol=1e-5
    )
    check(model, False, OPTIMIZERS["sgd"](), tmp_path, training=True)


class Doubled(L.Layer):
    """Has no `get_config`, and does not take what Keras puts into its own."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, x):
        return x * self.factor


def test_a_layer_without_get_config_is_cut_around():
    image = keras.Input((8, 8, 3))
    x = Doubled(2.0)(L.Conv2D(6, 3, name="a")(image))
    model = keras.Model(image, L.Dense(2, name="top")(L.GlobalAveragePooling2D()(x)))
    assert keras_cdd.sites(model)["a"].layers == ("a", "top")
    plan = keras_cdd.plan_surgery(model, target_macs=0.5)
    assert plan.kept_filters == {"a": 3} and keras_cdd.count_macs(model) == plan.macs[0]
    keras_cdd.silence(model, plan)
    slim, images = keras_cdd.rebuild(model, plan), images_for(model)
    np.testing.assert_allclose(flat_outputs(slim, images), flat_outputs(model, images), atol=1e-5)


def convnext(scaled):
    """A block of ConvNeXt; without a LayerNormalization, the scale is in a stream that is cut."""
    image = keras.Input((8, 8, 3))
    x = L.Conv2D(8, 1, name="stem")(image)
    y = L.Conv2D(8, 3, padding="same", groups=8, name="depthwise")(x)
    y = L.LayerNormalization()(y) if scaled == "inside" else L.BatchNormalization(momentum=0.9)(y)
    y = L.Dense(8, name="narrow")(L.Dense(12, activation="gelu", name="wide")(y))
    x = L.Add()([x, LayerScale(1e-6, 8, name="scale")(y)])
    return keras.Model(image, L.Dense(3, name="top")(L.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize("scaled, widths", [("inside", {"wide": 12}), ("stream", {"stem": 8, "wide": 12})])
def test_layer_scale(scaled, widths, tmp_path):
    model = alive(convnext(scaled))
    found = keras_cdd.sites(model, residual=True)
    assert {name: site.channels for name, site in found.items()} == widths
    twice = check(model, True, OPTIMIZERS["adam"](), tmp_path, training=True, target=0.7)
    scale, stream = twice.get_layer("scale"), twice.get_layer("stem").filters
    assert scale.gamma.shape == (stream,) and scale.projection_dim == stream
    assert (stream < 8) == (scaled == "stream")
    images = images_for(twice)
    expected = flat_outputs(twice, images)
    np.testing.assert_allclose(flat_outputs(keras_cdd.fuse(twice), images), expected, rtol=1e-4, atol=1e-4)
