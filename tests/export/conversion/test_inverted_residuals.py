"""An int8 file of a network of depthwise convolutions, as `fuse` leaves it."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from export.conversion.integer_form import integer_form
from export.conversion.quantize import to_tflite
from export.proof.inspection import inspect
from keras_cdd.surgery import fuse
from tests.export.conftest import LENGTH, SIZE, cosines

L = keras.layers


def inverted_residual(x, filters, stride):
    y = L.ReLU(6)(L.BatchNormalization()(L.Conv2D(4 * x.shape[-1], 1, use_bias=False)(x)))
    y = L.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(y)
    y = L.Conv2D(filters, 1, use_bias=False)(L.ReLU(6)(L.BatchNormalization()(y)))
    y = L.BatchNormalization()(y)
    return L.Add()([x, y]) if y.shape == x.shape else y


@pytest.fixture(scope="module")
def mobile(photos):
    """A small MobileNetV2 whose BatchNorms saw the photos and have scales and shifts of their own."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    image = keras.Input((*SIZE, 3), name="image")
    x = L.Conv2D(6, 3, strides=2, padding="same", use_bias=False)(L.Rescaling(1 / 127.5, -1.0)(image))
    x = L.ReLU(6)(L.BatchNormalization()(x))
    for filters, stride in ((6, 1), (8, 2), (8, 1)):
        x = inverted_residual(x, filters, stride)
    x = L.BatchNormalization()(L.Dense(LENGTH, use_bias=False)(L.GlobalAveragePooling2D()(x)))
    model = keras.Model(image, {"embedding": x})
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            layer.momentum = 0.0
            layer.gamma.assign(rng.uniform(0.5, 1.5, layer.gamma.shape))
            layer.beta.assign(0.3 * rng.normal(size=layer.beta.shape))
    model(photos.astype(np.float32), training=True)
    return model


def test_its_int8_file_gives_the_embeddings(mobile, photos):
    deploy = fuse(mobile)
    assert [type(layer) for layer in deploy.layers].count(L.BatchNormalization) == 1  # That of the embedding.
    content = to_tflite(integer_form(deploy), "int8", "uint8", photos)
    inside = inspect(content)
    assert inside.custom_operators == () and inside.not_quantized == {}
    found = Interpreter(model_content=content).get_signature_runner("serving_default")(image=photos)["embedding"]
    expected = mobile.predict(photos.astype(np.float32), verbose=0)["embedding"]
    assert cosines(found, expected).min() > 0.97 and cosines(found, expected).mean() > 0.99
