"""Tiny backbones: whole runs in seconds."""

import keras
import pytest

from keras_cdd.data import write_synthetic
from keras_cdd.experiment import watch
from keras_cdd.experiment.latency import latency_ms
from keras_cdd.models.backbones import STOCK_BACKBONES
from keras_cdd.report import LiveReport
from tests.tiny_backbone import add_tiny


@pytest.fixture(scope="module")
def tiny_backbone():
    """The name of a backbone that only tests use."""
    with pytest.MonkeyPatch.context() as patch:
        yield add_tiny(patch.setitem)


def tiny_stock(image_size, rescaling=None):
    """Inverted blocks, as in a MobileNet."""
    layers = keras.layers
    image = keras.Input((*image_size, 3), name="image")
    x = layers.Rescaling(*(rescaling or (1 / 127.5, -1.0)), name="pixels")(image)
    for number, filters in enumerate((8, 16)):
        x = layers.Conv2D(filters, 1, use_bias=False, name=f"expand{number}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"expand{number}_bn")(x)
        x = layers.ReLU(6.0, name=f"expand{number}_relu")(x)
        x = layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False, name=f"depthwise{number}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"depthwise{number}_bn")(x)
    return keras.Model(image, layers.Conv2D(12, 1, activation="swish", name="top")(x))


@pytest.fixture(scope="module")
def stock_backbone():
    """The name of a backbone of stock layers that only tests use."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(STOCK_BACKBONES, "tiny_stock", tiny_stock)
        yield "tiny_stock"


@pytest.fixture(scope="module", autouse=True)
def one_timed_call():
    """A latency of one call instead of the median of twenty, which take as long as an epoch of so short a run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latency_ms, "__defaults__", (1,))
        yield


@pytest.fixture
def without_pictures(monkeypatch):
    """Draws neither a page nor examples, which take as long as so short a run."""
    monkeypatch.setattr(LiveReport, "draw", lambda self: None)
    monkeypatch.setattr(watch, "keep_examples", lambda *run: None)


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    write_synthetic(folder, train_identities=8, train_images=6, test_identities=4, test_images=4)
    return folder
