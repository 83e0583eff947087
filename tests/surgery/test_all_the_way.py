"""All the way with tiny networks of models: gate, train, cut, rebuild, save, load, cut again, fuse, an int8 file."""

import keras
import pytest

from tests.models.sites.small import Block
from tests.surgery.chain import all_the_way
from tests.surgery.stock import alive

L = keras.layers


def convolution(x, filters, name):
    x = L.Conv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
    return L.ReLU(name=f"{name}_relu")(L.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x))


def nested():
    """A model in a model in a model, a composite layer, and names that repeat."""
    innermost = keras.Sequential(
        [keras.Input((8, 8, 8)), L.Conv2D(6, 1, name="conv"), L.BatchNormalization(momentum=0.9), L.ReLU()],
        name="innermost",
    )
    inner = keras.Input((8, 8, 8))
    backbone = keras.Model(inner, convolution(innermost(convolution(inner, 8, "conv")), 8, "last"), name="backbone")
    image = keras.Input((8, 8, 3))
    x = convolution(image, 8, "conv")
    x = Block(8, 6, name="block")(L.Add()([x, backbone(x)]))
    return keras.Model(image, L.Dense(3, name="top")(L.GlobalAveragePooling2D()(x)))


def shared_tower():
    """A model and a convolution that are called for both images."""
    image, other = keras.Input((8, 8, 3), name="image"), keras.Input((8, 8, 3), name="other")
    inner = keras.Input((8, 8, 3))
    tower = keras.Model(inner, convolution(convolution(inner, 8, "first"), 8, "second"), name="tower")
    shared = L.Conv2D(6, 3, activation="swish", name="shared")
    x = L.Concatenate()([shared(tower(each)) for each in (image, other)])
    return keras.Model([image, other], L.Dense(3, name="top")(L.GlobalAveragePooling2D()(convolution(x, 8, "both"))))


def inputs_and_outputs():
    """Two images whose maps are added; one of two outputs is read inside as well."""
    image, mask = keras.Input((8, 8, 3), name="image"), keras.Input((8, 8, 3), name="mask")
    x = L.Add()([convolution(image, 8, "a"), convolution(mask, 8, "b")])
    x = L.DepthwiseConv2D(3, name="depthwise")(convolution(x, 16, "c"))
    coarse = L.Dense(2, name="coarse")(L.GlobalAveragePooling2D()(x))
    x = L.Concatenate()([L.Dense(6, activation="relu", name="d")(L.GlobalMaxPooling2D()(x)), coarse])
    return keras.Model([image, mask], {"coarse": coarse, "fine": L.Dense(4, name="fine")(x)})


def in_float64(build):
    """With inputs in float64 too, since a model inside casts what it is given."""
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy("float64")
    keras.config.set_floatx("float64")
    try:
        return alive(build())
    finally:
        keras.config.set_dtype_policy("float32")
        keras.config.set_floatx("float32")


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("build", [nested, shared_tower, inputs_and_outputs], ids=lambda build: build.__name__)
def test_all_the_way(build, residual, tmp_path):
    all_the_way(in_float64(build), residual, tmp_path)
