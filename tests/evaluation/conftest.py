"""Tiny networks that embed images, and files made from them."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

SIZE = (8, 6)


@pytest.fixture
def images():
    """float32 (7, 8, 6, 3) in 0..255, all different."""
    return np.random.default_rng(0).uniform(0, 255, (7, *SIZE, 3)).astype(np.float32)


@pytest.fixture(scope="session")
def model():
    """Gives `features`, `embedding` (N, 5) and `logits`, as retrieval models do; left and right count."""
    keras.utils.set_random_seed(0)
    image = keras.Input((*SIZE, 3), name="image")
    x = keras.layers.Rescaling(1 / 127.5, -1)(image)
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(x)
    features = keras.layers.Flatten()(x)
    embedding = keras.layers.Dense(5)(features)
    logits = keras.layers.Dense(9)(embedding)
    return keras.Model(image, {"features": features, "embedding": embedding, "logits": logits})


@pytest.fixture(scope="session")
def embedding_model(model):
    """The same network with the embedding as its only output."""
    return keras.Model(model.input, model.output["embedding"])


@pytest.fixture(scope="session")
def tflite_file(model, embedding_model, tmp_path_factory):
    """`tflite_file(kind)` gives the file: `float32`, `uint8`, `int8`, `dict` or `single` (batch 1)."""
    folder = tmp_path_factory.mktemp("tflite")

    def path_of(kind):
        path = folder / f"{kind}.tflite"
        if not path.exists():
            path.write_bytes(_convert(kind, model, embedding_model))
        return path

    return path_of


def _convert(kind, model, embedding_model):
    if kind == "single":
        image = keras.Input((*SIZE, 3), batch_size=1)
        embedding_model = keras.Model(image, embedding_model(image))
    converter = tf.lite.TFLiteConverter.from_keras_model(model if kind == "dict" else embedding_model)
    if kind in ("uint8", "int8"):
        rng = np.random.default_rng(1)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            [rng.uniform(0, 255, (1, *SIZE, 3)).astype(np.float32)] for _ in range(30)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = getattr(tf, kind)
    with warnings.catch_warnings():
        # The representative images give the statistics.
        warnings.filterwarnings("ignore", "Statistics for quantized inputs")
        return converter.convert()
