"""All the way with networks of keras.applications: gate, train, cut, rebuild, cut again, fuse, an int8 file that runs.

For `make test-applications`; `make test` takes one.
"""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_cdd
from export.conversion.quantize import to_tflite
from export.proof.runtimes import embed_with
from tests.models.networks import images_for
from tests.models.profiler import profiled_macs
from tests.surgery.stock import alive, flat_outputs
from tests.surgery.test_stock_surgery import check, gradients

A = keras.applications
SIZES = {
    "ResNet50": 32,
    "ResNet50V2": 32,
    "MobileNet": 32,
    "MobileNetV2": 32,
    "MobileNetV3Small": 32,
    "EfficientNetB0": 32,
    "EfficientNetV2B0": 32,
    "ConvNeXtTiny": 32,
    "DenseNet121": 32,
    "InceptionV3": 75,
    "Xception": 71,
    "VGG16": 32,
}
# Half width where there is an argument for it.
SLIM = {"MobileNet": {"alpha": 0.5}, "MobileNetV2": {"alpha": 0.35}, "MobileNetV3Small": {"alpha": 0.75}}
ALWAYS = {("MobileNetV3Small", True)}
# In these, an activation lies between a factor of the stream and every layer that could take it in.
FOLD_NOWHERE = {("InceptionV3", True), ("Xception", True)}
CASES = [
    pytest.param(name, residual, marks=[] if (name, residual) in ALWAYS else pytest.mark.applications)
    for name in SIZES
    for residual in (False, True)
]


def application(name):
    """In float64, since networks this deep with random weights enlarge rounding errors."""
    keras.config.set_dtype_policy("float64")
    options = {"weights": None, "classes": 3, "classifier_activation": None, **SLIM.get(name, {})}
    try:
        return alive(getattr(A, name)(input_shape=(SIZES[name], SIZES[name], 3), **options))
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.slow
@pytest.mark.parametrize("name, residual", CASES)
def test_all_the_way(name, residual, tmp_path):
    """With dense indicators where the stream stays, and with diagonal ones where it is cut."""
    keras.utils.set_random_seed(0)
    model = application(name)
    gated = keras_cdd.gate_model(model, indicator="diagonal" if residual else "dense", residual=residual)
    images = images_for(model, 2)
    assert keras_cdd.count_macs(model) == profiled_macs(model, images[:1])
    np.testing.assert_array_equal(flat_outputs(gated, images), flat_outputs(model, images))
    left = [layer for layer in keras_cdd.fuse(gated).layers if layer.name.endswith("_indicator")]
    assert bool(left) == ((name, residual) in FOLD_NOWHERE)
    # A depthwise 1x1 convolution has one MAC an output.
    unfolded = sum(math.prod(layer.output.shape[1:]) for layer in left)
    assert keras_cdd.count_macs(gated) == keras_cdd.count_macs(model) + unfolded
    optimizer = keras.optimizers.Adam(1e-3, epsilon=1e-3)
    optimizer.learning_rate = 1e-3 / tf.linalg.global_norm(gradients(gated, 1, False))
    slim = check(gated, residual, optimizer, tmp_path, training=False, target=0.5)
    fused = keras_cdd.fuse(slim)
    assert all(type(layer).__module__.startswith("keras.") for layer in fused.layers)
    expected = flat_outputs(slim, images)
    np.testing.assert_allclose(flat_outputs(fused, images), expected, atol=1e-4 * max(1, np.abs(expected).max()))
    # Pixels become images like those that the network's statistics were taken of.
    image = keras.Input(fused.input.shape[1:])
    embedder = keras.Model(image, {"embedding": fused(keras.layers.Rescaling(1 / 73.9, -127.5 / 73.9)(image))})
    pixels = np.random.default_rng(0).integers(0, 256, (8, SIZES[name], SIZES[name], 3)).astype("uint8")
    (tmp_path / "int8.tflite").write_bytes(to_tflite(embedder, "int8", images=pixels))
    assert np.isfinite(embed_with("ai-edge-litert", tmp_path / "int8.tflite", pixels[:2])).all()
