"""A block whose shortcut is a convolution becomes one convolution of both inputs that computes the same."""

import keras
import numpy as np
import pytest

from export.conversion.integer_form import integer_form

layers = keras.layers


def block(size, stride, use_bias=True, **convolution):
    keras.utils.set_random_seed(0)
    image = keras.Input((size, size, 3))
    arguments = {"use_bias": use_bias, "bias_initializer": "normal"}
    shortcut = layers.Conv2D(8, 1, strides=stride, name="shortcut", **arguments)(image)
    x = layers.Conv2D(4, 3, strides=stride, padding="same")(image)
    x = layers.Conv2D(8, **{"kernel_size": 1, **arguments, **convolution})(x)
    return keras.Model(image, layers.ReLU()(layers.Add()([x, shortcut])))


def kinds(model):
    return [type(layer).__name__ for layer in model.layers]


@pytest.mark.parametrize("size, stride, use_bias", [(8, 1, True), (8, 2, True), (7, 2, False), (9, 3, True)])
def test_computes_the_same_with_one_convolution_less(size, stride, use_bias):
    model = block(size, stride, use_bias)
    form = integer_form(model)
    assert "Add" not in kinds(form) and kinds(form).count("Conv2D") == kinds(model).count("Conv2D") - 1
    images = np.random.default_rng(0).normal(size=(2, size, size, 3)).astype(np.float32)
    np.testing.assert_allclose(form(images), model(images), atol=1e-5)


def shared_convolution():
    image = keras.Input((4, 4, 3))
    conv = layers.Conv2D(8, 1)
    return keras.Model(image, layers.Add()([conv(image), conv(layers.ReLU()(image))]))


def convolution_used_twice():
    image = keras.Input((4, 4, 3))
    a, b = layers.Conv2D(8, 1)(image), layers.Conv2D(8, 1)(image)
    return keras.Model(image, layers.Concatenate()([layers.Add()([a, b]), b]))


@pytest.mark.parametrize(
    "model",
    [
        lambda: block(8, 1, kernel_size=3, padding="same"),
        lambda: block(8, 1, activation="relu"),
        lambda: block(8, 1, groups=2),
        shared_convolution,
        convolution_used_twice,
    ],
)
def test_all_else_stays(model):
    model = model()
    assert kinds(integer_form(model)) == kinds(model)
