"""The deployed form of networks as users write them has only stock layers and computes the same."""

import keras
import numpy as np
import pytest

from keras_cdd.layers import ChannelIndicator
from keras_cdd.models import count_macs, count_params
from keras_cdd.models.copies import Copies
from keras_cdd.models.graph import graph_of
from keras_cdd.surgery import fuse
from tests.models.networks import APPLICATIONS, NETWORKS, cases, images_for, outputs_of, randomised

L = keras.layers
MAP, VECTORS, LINES, VOLUME = (8, 8, 3), (6,), (12, 3), (4, 6, 6, 2)

# Input shape and layers one after the other, of which one is left; an activation keeps layers from the one before.
ONE_IS_LEFT = {
    "depthwise": (MAP, lambda: [L.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), L.BatchNormalization()]),
    "separable": (MAP, lambda: [L.SeparableConv2D(5, 3, depth_multiplier=2, use_bias=False), L.BatchNormalization()]),
    "transposed": (MAP, lambda: [L.Conv2DTranspose(5, 3, strides=2, padding="same"), L.BatchNormalization()]),
    "grouped": (MAP, lambda: [L.Conv2D(6, 3, groups=3, use_bias=False), L.BatchNormalization(scale=False)]),
    "dense of vectors": (VECTORS, lambda: [L.Dense(4, use_bias=False), L.BatchNormalization(axis=1)]),
    "dense of maps": (MAP, lambda: [L.Dense(4), L.BatchNormalization(center=False)]),
    "lines": (LINES, lambda: [L.Conv1D(4, 3, padding="causal"), L.BatchNormalization()]),
    "depthwise of lines": (LINES, lambda: [L.DepthwiseConv1D(3), L.BatchNormalization()]),
    "separable of lines": (LINES, lambda: [L.SeparableConv1D(4, 3), L.BatchNormalization()]),
    "transposed of lines": (LINES, lambda: [L.Conv1DTranspose(4, 3), L.BatchNormalization()]),
    "volume": (VOLUME, lambda: [L.Conv3D(4, 3, use_bias=False), L.BatchNormalization()]),
    "transposed of volumes": (VOLUME, lambda: [L.Conv3DTranspose(4, 2), L.BatchNormalization()]),
    "several": (
        MAP,
        lambda: [L.Conv2D(6, 3), L.BatchNormalization(), ChannelIndicator(kept=4), L.BatchNormalization()],
    ),
    "indicator of a separable": (
        MAP,
        lambda: [L.SeparableConv2D(5, 3, depth_multiplier=2), L.BatchNormalization(), ChannelIndicator(kept=2)],
    ),
    "indicator of a transposed": (MAP, lambda: [L.Conv2DTranspose(5, 3), ChannelIndicator(kept=2)]),
    "indicator of a dense": (MAP, lambda: [L.Dense(5), ChannelIndicator(kept=2)]),
    "scale of a convolution": (MAP, lambda: [L.Conv2D(5, 3, use_bias=False), L.DepthwiseConv2D(1)]),
    "before dense": (VECTORS, lambda: [L.BatchNormalization(), L.Dense(4, activation="relu", use_bias=False)]),
    "before a pointwise": (MAP, lambda: [L.BatchNormalization(), L.Conv2D(4, 1, strides=2, padding="same")]),
    "before a convolution": (MAP, lambda: [L.BatchNormalization(), L.Conv2D(4, 3, activation="relu")]),
    "before a depthwise": (MAP, lambda: [L.BatchNormalization(), L.DepthwiseConv2D(3, depth_multiplier=2)]),
    "before a separable": (MAP, lambda: [L.BatchNormalization(), L.SeparableConv2D(4, 3, depth_multiplier=2)]),
    "indicator before": (MAP, lambda: [ChannelIndicator(kept=2), L.Conv2D(4, 3, padding="same", activation="relu")]),
    "indicator before a transposed": (MAP, lambda: [ChannelIndicator(kept=2), L.Conv2DTranspose(4, 3, strides=2)]),
    "indicator before a dense": (MAP, lambda: [ChannelIndicator(kept=2), L.Dense(4)]),
    "scale before": (MAP, lambda: [L.DepthwiseConv2D(1, use_bias=False), L.Conv2D(4, 3, padding="same")]),
    "on both sides": (
        MAP,
        lambda: [L.BatchNormalization(), ChannelIndicator(kept=2), L.Conv2D(4, 3), L.BatchNormalization()],
    ),
    "scales alone": (MAP, lambda: [L.BatchNormalization(), L.DepthwiseConv2D(1), L.BatchNormalization()]),
}

# Of each the first BatchNorm or indicator stays.
STAYS = {
    "before padding": (MAP, lambda: [L.BatchNormalization(), L.Conv2D(4, 3, padding="same")]),
    "before groups": (VOLUME[1:], lambda: [L.BatchNormalization(), L.Conv2D(4, 3, groups=2)]),
    "before a transposed": (MAP, lambda: [L.BatchNormalization(), L.Conv2DTranspose(4, 3)]),
    "before an activation": (MAP, lambda: [L.BatchNormalization(), L.ReLU(), L.Conv2D(4, 1)]),
    "behind an activation": (MAP, lambda: [L.DepthwiseConv2D(3, activation="relu"), L.BatchNormalization()]),
    "of pooled features": (MAP, lambda: [L.GlobalAveragePooling2D(), L.BatchNormalization(), L.Dense(4)]),
    "of lines of a map": (MAP, lambda: [L.Dense(4), L.BatchNormalization(axis=2)]),
    "mixing a depthwise": (MAP, lambda: [L.DepthwiseConv2D(3), ChannelIndicator(kept=2)]),
    "mixing for a depthwise": (MAP, lambda: [ChannelIndicator(kept=2), L.DepthwiseConv2D(3)]),
}

CLASSES = {"weights": None, "classes": 5, "classifier_activation": None}
# Constructor, image size, BatchNorms that stay: those before an activation whose input others read, too.
DEEP = {
    "MobileNetV2": (keras.applications.MobileNetV2, 64, 0),
    "MobileNetV3Small": (keras.applications.MobileNetV3Small, 64, 0),
    "EfficientNetB0": (keras.applications.EfficientNetB0, 64, 0),
    "DenseNet121": (keras.applications.DenseNet121, 64, 62),
    "Xception": (keras.applications.Xception, 71, 0),
}


def sequence(shape, layers):
    return randomised(keras.Sequential([keras.Input(shape), *layers]))


def calibrated(model, images):
    """The model, randomised, whose BatchNorms then normalise what these images give."""
    for layer in randomised(model).layers:
        if isinstance(layer, L.BatchNormalization):
            layer.momentum = 0.0
        if isinstance(layer, L.Dropout):
            layer.rate = 0.0
    model(images, training=True)
    return model


def in_float64(model, images):
    """What a model gives where the rounding of its arithmetic does not show."""
    graph = graph_of(model)
    return outputs_of(graph.replay(Copies(graph, dtype="float64")), images.astype("float64"))[0]


def kinds(model):
    return [type(layer) for layer in model.layers if not isinstance(layer, L.InputLayer)]


@pytest.mark.parametrize("shape, layers", ONE_IS_LEFT.values(), ids=ONE_IS_LEFT)
def test_one_layer_is_left(shape, layers):
    model = sequence(shape, layers())
    images, deploy = images_for(model), fuse(model)
    (expected,), (found,) = outputs_of(model, images), outputs_of(deploy, images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    (kind,) = kinds(deploy)
    assert kind in kinds(model) and kind is not L.BatchNormalization
    assert count_params(model) == count_params(deploy) == deploy.count_params()
    assert count_macs(model) == count_macs(deploy)


@pytest.mark.parametrize("shape, layers", STAYS.values(), ids=STAYS)
def test_what_would_not_be_exact_stays(shape, layers):
    model = sequence(shape, layers())
    images, deploy = images_for(model), fuse(model)
    (expected,), (found,) = outputs_of(model, images), outputs_of(deploy, images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert len(kinds(deploy)) == len(kinds(model))
    assert count_params(model) == count_params(deploy)


def test_the_batch_norm_that_gives_the_embedding_stays():
    vectors = keras.Input(VECTORS)
    x = L.BatchNormalization(name="inside")(L.Dense(5)(vectors))
    embedding = L.BatchNormalization(name="last")(L.Dense(4)(L.ReLU()(x)))
    deploy = fuse(randomised(keras.Model(vectors, {"embedding": embedding})))
    assert [layer.name for layer in deploy.layers if isinstance(layer, L.BatchNormalization)] == ["last"]


@pytest.mark.parametrize("build, size, kept", cases(DEEP, ["MobileNetV3Small"]))
def test_deep_applications_fold_exactly_and_count_as_folded(build, size, kept):
    keras.utils.set_random_seed(0)
    model = build(input_shape=(size, size, 3), **CLASSES)
    images = images_for(model, count=4)
    deploy = fuse(calibrated(model, images))
    expected = in_float64(model, images)
    # What tells the images apart counts, not what all have in common.
    atol = 1e-4 * np.abs(expected - expected.mean(0)).max()
    np.testing.assert_allclose(in_float64(deploy, images), expected, rtol=0, atol=atol)
    norms = [layer for layer in deploy.layers if isinstance(layer, L.BatchNormalization)]
    assert len(norms) == kept
    assert all(type(layer).__module__.startswith("keras.") for layer in deploy.layers)
    statistics = sum(int(keras.ops.size(bn.moving_mean)) * 2 for bn in norms)
    assert count_params(model) == count_params(deploy) == deploy.count_params() - statistics
    assert count_macs(model) == count_macs(deploy)


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


@pytest.mark.parametrize("build", cases(APPLICATIONS, ["MobileNetV2"]))
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
        lambda x, conv: [conv(y := L.BatchNormalization()(x)), L.Conv2D(2, 1)(y)],
        lambda x, conv: L.Conv2D(2, 1)((bn := L.BatchNormalization())(L.ReLU()(bn(conv(x))))),
    ],
    ids=[
        "of rows",
        "with statistics of the batch",
        "a convolution called twice",
        "a map that is an output",
        "a map that two read",
        "a BatchNorm called twice",
    ],
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
