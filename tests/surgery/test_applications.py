"""All the way with networks of keras.applications: gate, train, cut, rebuild, cut again, fuse, an int8 file that runs.

For `make test-applications`; `make test` goes all the way with small networks and keras-hub.
"""

import math

import keras
import numpy as np
import pytest

import keras_cdd
from tests.models.networks import images_for
from tests.models.profiler import profiled_macs
from tests.surgery.chain import all_the_way
from tests.surgery.stock import alive

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
# In these, an activation lies between a factor of the stream and every layer that could take it in.
FOLD_NOWHERE = {("InceptionV3", True), ("Xception", True)}


def application(name):
    """In float64, since networks this deep with random weights enlarge rounding errors."""
    keras.config.set_dtype_policy("float64")
    options = {"weights": None, "classes": 3, "classifier_activation": None, **SLIM.get(name, {})}
    try:
        return alive(getattr(A, name)(input_shape=(SIZES[name], SIZES[name], 3), **options))
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.slow
@pytest.mark.applications
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("name", SIZES)
def test_all_the_way(name, residual, tmp_path):
    keras.utils.set_random_seed(0)
    model = application(name)
    assert keras_cdd.count_macs(model) == profiled_macs(model, images_for(model, 1))
    # Images this small end as maps of a pixel: statistics of four images would enlarge rounding errors layer by layer.
    # The deepest have signals that int8 cannot carry to their end, since their weights are random.
    gated = all_the_way(model, residual, tmp_path, training=False, int8_error=np.inf)
    left = [layer for layer in keras_cdd.fuse(gated).layers if layer.name.endswith("_indicator")]
    assert bool(left) == ((name, residual) in FOLD_NOWHERE)
    # A depthwise 1x1 convolution has one MAC an output.
    unfolded = sum(math.prod(layer.output.shape[1:]) for layer in left)
    assert keras_cdd.count_macs(gated) == keras_cdd.count_macs(model) + unfolded
