"""A file of weights brings the preprocessing that belongs to them."""

import keras
import numpy as np
import pytest

from keras_cdd.models.pretrained.loading import RESCALINGS
from keras_cdd.models.pretrained.weights import file_weights

L = keras.layers


@pytest.mark.parametrize(
    "name, backbone, style, stride_on",
    [
        ("layer1.0.conv1.weight", "resnet50", "torchvision", None),
        ("conv2_block1_1_conv/kernel", "resnet50", "keras", "conv1"),
        # The same names, but preprocessing of its own.
        ("conv2_block1_1_conv/kernel", "resnet50_v2", None, None),
        ("blocks.0.0.conv_dw.weight", "efficientnet_lite0", "timm_efficientnet_lite", None),
        ("own/kernel", "resnet50", None, None),
    ],
)
def test_names_of_arrays_tell(tmp_path, name, backbone, style, stride_on):
    np.savez(tmp_path / "weights.npz", **{name: np.zeros(1)})
    found = file_weights(tmp_path / "weights.npz", backbone)
    assert found.rescaling == RESCALINGS.get(style) and found.stride_on == stride_on


def convolution(inputs):
    return L.Conv2D(4, 3, use_bias=False, name="first")(inputs)


def nested(image):
    inner = keras.Input((8, 8, 3))
    return keras.Model(inner, convolution(L.Rescaling(0.5, -3.0)(inner)))(image)


def normalized(image):
    return convolution(L.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 4.0, 4.0])(image))


def of_other_columns(image):
    columns = L.Normalization(mean=np.arange(10.0), variance=np.ones(10))(L.Dense(10)(L.Flatten()(image)))
    return L.Dense(2)(columns)


@pytest.mark.parametrize(
    "make, backbone, expected",
    [
        (convolution, "mobilenet_v2", (1 / 127.5, -1.0)),
        # In place of `preprocess_input`, not after it.
        (lambda image: convolution(L.Rescaling(0.5, -3.0)(image)), "mobilenet_v2", (0.5, -3.0)),
        (nested, "mobilenet_v3_small", (0.5, -3.0)),
        (normalized, "efficientnet_b0", (0.5, [-0.5, -1.0, -1.5])),
        # Neither inside nor outside: as the backbone has it.
        (convolution, "mobilenet_v3_small", None),
        (of_other_columns, "mobilenet_v3_small", None),
        # Not one of keras.applications, nor ours: its names say nothing.
        (lambda image: convolution(L.Rescaling(0.5, -3.0, name="rescaling")(image)), "resnet18", None),
    ],
)
def test_a_model_tells(tmp_path, make, backbone, expected):
    image = keras.Input((8, 8, 3))
    keras.Model(image, make(image)).save(tmp_path / "model.keras")
    found = file_weights(tmp_path / "model.keras", backbone)
    if expected is None:
        assert found.rescaling is None
    else:
        for value, wanted in zip(found.rescaling, expected, strict=True):
            np.testing.assert_allclose(value, wanted, rtol=1e-5)


@pytest.mark.parametrize("backbone, swapped", [("vgg16", True), ("mobilenet_v2", False)])
def test_kernels_for_bgr_are_turned(tmp_path, backbone, swapped):
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, convolution(image))
    model.save(tmp_path / "model.keras")
    found = file_weights(tmp_path / "model.keras", backbone).arrays["first/kernel"]
    kernel = np.asarray(model.get_layer("first").kernel)
    np.testing.assert_array_equal(found, kernel[:, :, ::-1] if swapped else kernel)
