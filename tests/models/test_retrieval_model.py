"""Backbones of stock layers with the retrieval head."""

import keras
import numpy as np
import pytest

from keras_cdd.errors import UserError
from keras_cdd.layers import embedding_head
from keras_cdd.models import BACKBONES, retrieval_model
from keras_cdd.models.applications import APPLICATIONS, application
from keras_cdd.models.backbones import ALL_BACKBONES, STOCK_BACKBONES

large = [pytest.mark.slow, pytest.mark.applications]


def pixels(size):
    return np.random.default_rng(0).uniform(0, 255, (2, *size, 3)).astype("float32")


def seeded(make, *args, **kwargs):
    """The same call after the same seed gives the same initial weights."""
    keras.utils.set_random_seed(7)
    return make(*args, **kwargs)


@pytest.mark.parametrize(
    ("backbone", "module"),
    [
        ("mobilenet_v3_small", "mobilenet_v3"),  # A Rescaling of its own.
        pytest.param("efficientnet_b0", "efficientnet", marks=large),  # A Rescaling and a Normalization.
        pytest.param("densenet121", "densenet", marks=large),  # Mean and deviation in `preprocess_input`.
        pytest.param("convnext_tiny", "convnext", marks=pytest.mark.slow),  # A Normalization, and a nested model.
    ],
)
def test_an_application_takes_pixels_and_computes_what_keras_does(backbone, module):
    ours = seeded(application, backbone, (64, 32))
    make, preprocess = (getattr(keras.applications, APPLICATIONS[backbone]), getattr(keras.applications, module))
    theirs = seeded(make, include_top=False, weights=None, input_shape=(64, 32, 3))
    expected = np.asarray(theirs(preprocess.preprocess_input(pixels((64, 32)))))
    size = np.abs(expected).max()
    np.testing.assert_allclose(ours(pixels((64, 32))) / size, expected / size, atol=1e-4)
    # One layer before the first convolution, and no model in the model.
    assert [layer.name for layer in ours.layers if isinstance(layer, keras.layers.Rescaling)] == ["pixels"]
    assert not [layer for layer in ours.layers if isinstance(layer, keras.Model | keras.layers.Normalization)]


def test_statistics_of_batch_norms_follow_soon():
    norms = [x for x in application("mobilenet_v2", (32, 32)).layers if isinstance(x, keras.layers.BatchNormalization)]
    assert norms and {norm.momentum for norm in norms} == {0.9}


def test_every_name_is_one_of_keras_and_none_is_taken_twice():
    assert all(hasattr(keras.applications, name) for name in APPLICATIONS.values())
    assert len(ALL_BACKBONES) == len(STOCK_BACKBONES) + len(BACKBONES)
    assert list(ALL_BACKBONES)[:2] == ["resnet18", "resnet34"]


def test_a_retrieval_model_has_the_head_and_loads_again(tmp_path):
    model = retrieval_model("efficientnet_lite0", (32, 32), num_classes=5, embedding_size=8, pooling="gem")
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    outputs = {name: tuple(output.shape[1:]) for name, output in again.output.items()}
    assert outputs == {"features": (1280,), "embedding": (8,), "logits": (5,)}
    np.testing.assert_array_equal(model(pixels((32, 32)))["embedding"], again(pixels((32, 32)))["embedding"])


def test_a_rescaling_of_one_s_own():
    model = retrieval_model("mobilenet", (32, 32), rescaling=(-1 / 127.5, 1.0))
    assert np.asarray(keras.Model(model.input, model.get_layer("pixels").output)(np.zeros((1, 32, 32, 3)))).max() == 1.0


def test_images_that_are_too_small_are_a_user_s_mistake():
    with pytest.raises(UserError, match="32x32 pixels are too small for inception_v3; take a larger --image_size"):
        retrieval_model("inception_v3", (32, 32))


def test_an_unknown_backbone():
    with pytest.raises(ValueError, match="`backbone` must be one of .*mobilenet_v2.*Received: backbone='resnet50'"):
        retrieval_model("resnet50", (32, 32))


def test_the_head_takes_features_that_are_pooled_already():
    features = keras.Input((6,))
    model = keras.Model(features, embedding_head(features, embedding_size=4, num_classes=3))
    given = np.random.default_rng(0).normal(size=(2, 6)).astype("float32")
    np.testing.assert_array_equal(model(given)["features"], given)
    assert model.output["embedding"].shape == (None, 4) and model.output["logits"].shape == (None, 3)
