"""The first convolution on groups of pixels computes the same."""

import keras
import numpy as np
import pytest

from export.conversion.integer_form import integer_form

CASES = {
    "as in ResNet": ((12, 16), 7, 2, 3, "valid"),
    "as in MobileNet": ((12, 16), 3, 2, ((0, 1), (0, 1)), "valid"),
    "margins of TensorFlow": ((13, 12), 5, 2, 0, "same"),
    "both kinds of margins": ((9, 15), 5, 3, ((2, 0), (0, 1)), "same"),
    "more stride than kernel": ((9, 15), 2, 3, 1, "valid"),
}


def network(size, kernel_size, stride, padding, mode):
    image = x = keras.Input((*size, 3))
    x = keras.layers.Rescaling([0.01, 0.02, 0.03], [-1.0, -2.0, -3.0])(x)
    if padding:
        x = keras.layers.ZeroPadding2D(padding)(x)
    settings = {"strides": stride, "padding": mode, "bias_initializer": "normal", "activation": "relu"}
    return keras.Model(image, keras.layers.Conv2D(5, kernel_size, **settings)(x))


def first_convolution(model):
    return next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))


@pytest.mark.parametrize("case", CASES)
def test_groups_compute_the_same(case):
    keras.utils.set_random_seed(0)
    model = network(*CASES[case])
    stride = CASES[case][2]
    form = integer_form(model)
    assert first_convolution(form).input.shape[-1] == 3 * stride
    assert first_convolution(form).strides == (stride, 1)
    images = np.random.default_rng(0).integers(0, 256, (2, *CASES[case][0], 3)).astype(np.float32)
    np.testing.assert_allclose(form(images), model(images), atol=2e-4)


def padded_pooling(size, pool_size=3, slope=0.0):
    image = keras.Input((*size, 3))
    x = keras.layers.Rescaling([0.01, 0.02, 0.03], [-1.0, -2.0, -3.0])(image)
    x = keras.layers.Conv2D(5, 7, strides=2, bias_initializer="normal")(keras.layers.ZeroPadding2D(3)(x))
    x = keras.layers.ZeroPadding2D(1)(keras.layers.ReLU(negative_slope=slope)(x))
    return keras.Model(image, keras.layers.MaxPooling2D(pool_size, 2)(x))


@pytest.mark.parametrize(
    "size, pool_size, slope, paddings",
    [((24, 32), 3, 0.0, 1), ((24, 30), 3, 0.0, 2), ((23, 32), 3, 0.0, 1), ((24, 32), 2, 0.0, 2), ((24, 32), 3, 0.1, 2)],
)
def test_pooling_needs_no_padding_of_a_whole_map(size, pool_size, slope, paddings):
    keras.utils.set_random_seed(0)
    model = padded_pooling(size, pool_size, slope)
    form = integer_form(model)
    assert sum(isinstance(layer, keras.layers.ZeroPadding2D) for layer in form.layers) == paddings
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3)).astype(np.float32)
    np.testing.assert_allclose(form(images), model(images), atol=2e-4)


def test_an_open_size_stays_open():
    model = padded_pooling((None, None))
    images = np.random.default_rng(0).integers(0, 256, (1, 24, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(integer_form(model)(images), model(images), atol=2e-4)


@pytest.mark.parametrize("size, stride", [((12, 15), 2), ((12, 16), 1), ((None, None), 2)])
def test_what_cannot_be_grouped_stays(size, stride):
    form = integer_form(network(size, 3, stride, 1, "valid"))
    assert first_convolution(form).input.shape[-1] == 3
