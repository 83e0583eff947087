"""Networks as they come: a backbone's pooled features, models of any size, and what a run's table says of them."""

import pathlib

import keras
import numpy as np
import pytest

from keras_cdd.data import RetrievalDataset
from keras_cdd.errors import UserError
from keras_cdd.evaluate import EvaluateFlags
from keras_cdd.evaluation.keras_embedder import KerasEmbedder
from keras_cdd.experiment.model_search import query_model
from keras_cdd.experiment.off_the_shelf import measured, pooled_backbone
from tests.experiment.conftest import tiny_stock

SIZE = (16, 12)
NO_DATA = RetrievalDataset("none", (), (), ())


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(0, 255, (3, *SIZE, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A backbone and the file of its weights."""
    keras.utils.set_random_seed(0)
    network = tiny_stock(SIZE)
    path = tmp_path_factory.mktemp("weights") / "weights.keras"
    network.save(path)
    return network, str(path)


def test_a_backbone_embeds_as_its_pooled_features(stock_backbone, weights, images):
    network, path = weights
    expected = network.predict(images, verbose=0).mean(axis=(1, 2))
    model = query_model(EvaluateFlags(model=stock_backbone, pretrained=path), NO_DATA, SIZE)
    assert model.image_size == SIZE and model.embedding_size == 12
    np.testing.assert_allclose(model(images), expected, atol=1e-5)


def test_image_size_is_that_of_the_flag(stock_backbone, weights):
    options = EvaluateFlags(model=stock_backbone, pretrained=weights[1], image_size=(32, 32))
    assert query_model(options, NO_DATA, SIZE).image_size == (32, 32)


def test_without_its_weights_a_backbone_is_refused(stock_backbone, tmp_path):
    with pytest.raises(UserError, match=r"no weights file .*gone.npz"):
        pooled_backbone(stock_backbone, str(tmp_path / "gone.npz"), SIZE, NO_DATA)


@pytest.fixture
def of_any_size(tmp_path):
    """A file that takes images of any size and gives the mean of each colour."""
    image = keras.Input((None, None, 3))
    path = tmp_path / "any.keras"
    keras.Model(image, keras.layers.GlobalAveragePooling2D()(image)).save(path)
    return str(path)


def test_a_file_of_any_size_takes_that_of_the_flag(of_any_size, images):
    model = query_model(EvaluateFlags(model=of_any_size, image_size=SIZE), NO_DATA, SIZE)
    assert model.image_size == SIZE
    np.testing.assert_allclose(model(images), images.mean(axis=(1, 2)), rtol=1e-5)
    with pytest.raises(UserError, match="takes images of any size; say which with --image_size=H,W"):
        query_model(EvaluateFlags(model=of_any_size), NO_DATA, SIZE)


def test_a_foreign_file_gets_rescaled_pixels(of_any_size, images):
    options = EvaluateFlags(model=of_any_size, image_size=SIZE, rescaling=(0.5, -3.0))
    model = query_model(options, NO_DATA, SIZE)
    np.testing.assert_allclose(model(images), images.mean(axis=(1, 2)) / 2 - 3, rtol=1e-4)
    assert measured(model, of_any_size).keys() >= {"bytes", "latency_ms"}


def test_what_the_table_says_of_a_network(weights):
    network, path = weights
    model = keras.Model(network.input, keras.layers.GlobalAveragePooling2D()(network.output))
    found = measured(KerasEmbedder(model))
    # Three 1x1 and two 3x3 depthwise convolutions, each with a bias when it is deployed.
    pixels = SIZE[0] * SIZE[1]
    assert found["num_params"] == 3 * 8 + 8 + 9 * 8 + 8 + 8 * 16 + 16 + 9 * 16 + 16 + 16 * 12 + 12
    assert found["macs"] == pixels * 3 * 8 + pixels // 4 * (9 * 8 + 8 * 16) + pixels // 16 * (9 * 16 + 16 * 12)
    assert found["bytes"] > 4 * found["num_params"] and found["latency_ms"] > 0
    assert measured(KerasEmbedder(model), path)["bytes"] == pathlib.Path(path).stat().st_size
