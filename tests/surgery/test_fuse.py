"""The deployed form of networks as users write them has only stock layers and computes the same."""

import keras
import numpy as np
import pytest

from keras_cdd.layers import ChannelIndicator
from keras_cdd.surgery import fuse
from tests.models.networks import APPLICATIONS, NETWORKS, images_for, outputs_of, randomised

L = keras.layers


@pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)
def test_fusing_changes_nothing_and_leaves_stock_layers(build):
    model = randomised(build())
    images, deploy = images_for(model), fuse(model)
    expected = outputs_of(model, images)
    if build.__name__ == "embedding_and_logits":
        del expected[1]
    for found, wanted in zip(outputs_of(deploy, images), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    assert all(type(layer).__module__.startswith("keras.") for layer in deploy.layers)


@pytest.mark.slow
@pytest.mark.parametrize("build", APPLICATIONS.values(), ids=APPLICATIONS)
def test_applications_are_fused(build):
    model = randomised(build())
    images, deploy = images_for(model), fuse(model)
    np.testing.assert_allclose(outputs_of(deploy, images)[0], outputs_of(model, images)[0], atol=1e-5)


def test_lone_indicators_fold_where_a_convolution_precedes_them():
    deploy = fuse(NETWORKS["lone_indicators"]())
    filters = [layer.filters for layer in deploy.layers if isinstance(layer, L.Conv2D)]
    # Two folded; one behind an activation, one behind groups and one that is called twice are 1x1 convolutions.
    assert filters == [5, 4, 8, 4, 8, 4, 4, 3]
    assert not any(isinstance(layer, L.BatchNormalization) for layer in deploy.layers)


@pytest.mark.parametrize(
    "after",
    [
        lambda x, conv: L.BatchNormalization(axis=1)(conv(x)),
        lambda x, conv: L.BatchNormalization()(conv(x), training=True),
        lambda x, conv: L.Add()([conv(x), L.BatchNormalization()(conv(x))]),
        lambda x, conv: [y := conv(x), L.BatchNormalization()(y), ChannelIndicator()(y)],
    ],
    ids=["of rows", "with statistics of the batch", "a convolution called twice", "a map that is an output"],
)
def test_what_would_change_something_does_not_fold(after):
    image = keras.Input((6, 6, 3))
    model = randomised(keras.Model(image, after(image, L.Conv2D(4, 3, use_bias=False))))
    images, deploy = images_for(model), fuse(model)
    for found, wanted in zip(outputs_of(deploy, images), outputs_of(model, images), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert any(isinstance(layer, L.BatchNormalization) for layer in deploy.layers)


def test_names_that_models_inside_a_model_repeat_stay_apart(tmp_path):
    deploy = fuse(NETWORKS["nested"]())
    assert {"conv", "backbone_conv"} <= {layer.name for layer in deploy.layers}
    deploy.save(tmp_path / "deploy.keras")
    images = images_for(deploy)
    loaded = keras.saving.load_model(tmp_path / "deploy.keras")
    np.testing.assert_array_equal(loaded(images)["map"], deploy(images)["map"])
