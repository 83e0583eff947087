"""A linear head on given weights starts as a PCA of the pooled features."""

import keras
import numpy as np
import pytest

from keras_cdd.data import load_dataset, write_synthetic
from keras_cdd.data.training_data import TrainingData
from keras_cdd.experiment.networks import make_heavy_student, make_teacher
from keras_cdd.experiment.pca_head import principal_axes, start_by_pca
from keras_cdd.models import retrieval_model
from keras_cdd.models.backbones import STOCK_BACKBONES
from keras_cdd.settings.config import Config, DataConfig, NetworkConfig, RunConfig


def cosines(x):
    x = np.asarray(x) / np.linalg.norm(x, axis=1, keepdims=True)
    return x @ x.T


def pixels(count=40):
    return np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3)).astype(np.uint8)


def test_the_axes_are_those_of_largest_variance():
    random = np.random.default_rng(1)
    turn = np.linalg.qr(random.normal(size=(4, 4)))[0]
    features = random.normal(size=(2000, 4)) * (9.0, 4.0, 1.0, 0.1) @ turn + 20.0
    axes = principal_axes(features, 2)
    assert axes.dtype == np.float32 and axes.shape == (4, 2)
    np.testing.assert_allclose(np.abs((axes.T @ turn.T)[:, :2]), np.eye(2), atol=0.05)
    assert (axes.sum(axis=0) > 0).all()


def test_more_values_than_features_have_stay_zero():
    axes = principal_axes(np.random.default_rng(1).normal(size=(3, 4)), 6)
    np.testing.assert_allclose(axes.T @ axes, np.diag([1.0] * 4 + [0.0] * 2), atol=1e-6)


def test_an_embedding_as_long_as_the_features_has_their_cosines(stock_backbone):
    model = retrieval_model(stock_backbone, (16, 16), num_classes=3, embedding_size=12, head="linear")
    start_by_pca(model, pixels())
    outputs = model(pixels().astype("float32"))
    np.testing.assert_allclose(cosines(outputs["embedding"]), cosines(outputs["features"]), atol=1e-4)


def test_the_images_are_spread_over_the_training_set(photos):
    data = TrainingData(photos, DataConfig(image_size=(16, 16)), 0)
    assert len(data.sample()) == len(photos.train) == 16
    np.testing.assert_array_equal(data.sample(3), data.store.take([0, 8, 15]))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    write_synthetic(folder, train_identities=4, train_images=4, test_identities=2, test_images=4)
    return load_dataset("folder", str(folder))


@pytest.fixture(scope="module")
def weights(stock_backbone, tmp_path_factory):
    """Weights of the backbone, without those of a head."""
    path = tmp_path_factory.mktemp("weights") / "backbone.keras"
    STOCK_BACKBONES[stock_backbone]((16, 16)).save(path)
    return str(path)


def settings(backbone, head="linear", **run):
    return Config(
        data=DataConfig(image_size=(16, 16), identities_per_batch=4),
        network=NetworkConfig(backbone, embedding_size=4, head=head),
        run=RunConfig(**run),
    )


def kernel(model):
    return np.asarray(model.get_layer("head_dense").kernel)


def test_a_teacher_with_given_weights_starts_by_pca_twice_the_same(stock_backbone, weights, photos):
    config = settings(stock_backbone, pretrained=weights)
    data = TrainingData(photos, config.data, 0)
    first, again = (make_teacher(config, photos, data.sample) for _ in range(2))
    np.testing.assert_allclose(kernel(first).T @ kernel(first), np.eye(4), atol=1e-5)
    np.testing.assert_array_equal(kernel(first), kernel(again))


def test_without_given_weights_and_with_a_neck_it_starts_at_random(stock_backbone, weights, photos):
    for config in (settings(stock_backbone), settings(stock_backbone, head="neck", pretrained=weights)):
        found = kernel(make_teacher(config, photos, TrainingData(photos, config.data, 0).sample))
        assert np.abs(found.T @ found - np.eye(4)).max() > 0.01


def test_a_student_copies_its_teacher_s_head_or_starts_by_pca(stock_backbone, weights, photos):
    config = settings(stock_backbone, pretrained=weights)
    data = TrainingData(photos, config.data, 0)
    teacher = make_teacher(config, photos, data.sample)
    teacher.get_layer("head_dense").kernel.assign(2.0 * kernel(teacher))
    copied = make_heavy_student(config, photos, teacher, data.sample)
    np.testing.assert_array_equal(kernel(copied), kernel(teacher))
    config = settings(stock_backbone, pretrained=weights, student_init="pretrained")
    fresh = make_heavy_student(config, photos, teacher, data.sample)
    np.testing.assert_allclose(kernel(fresh).T @ kernel(fresh), np.eye(4), atol=1e-5)


def test_weights_with_a_head_of_their_own_keep_it(stock_backbone, photos, tmp_path):
    config = settings(stock_backbone)
    whole = make_teacher(config, photos)
    whole.save(tmp_path / "whole.keras")
    config = settings(stock_backbone, pretrained=str(tmp_path / "whole.keras"))
    again = make_teacher(config, photos, TrainingData(photos, config.data, 0).sample)
    np.testing.assert_array_equal(kernel(again), kernel(whole))


def test_a_given_backbone_gets_a_head_that_starts_by_pca(weights, photos):
    config = settings(None, student_model=weights)
    model = make_teacher(config, photos, TrainingData(photos, config.data, 0).sample)
    assert isinstance(model, keras.Model) and {"features", "embedding", "logits"} == set(model.output)
    np.testing.assert_allclose(kernel(model).T @ kernel(model), np.eye(4), atol=1e-5)
