"""Gating changes no output: a block that a gated block would compute differently is left unchanged."""

import keras
import numpy as np
import pytest

from keras_cdd.errors import UserError
from keras_cdd.layers import GatedBlock
from keras_cdd.models import gate_model
from tests.half_precision import POLICIES, skip_where_refused
from tests.models.networks import images_for, outputs_of, randomised

L = keras.layers


class Parts:
    """Makes a residual network of one block; what is unusual about it is said in `options`.

    Args:
        bottleneck: 1x1, 3x3, 1x1, or else 3x3, 3x3.
        conv, bn: options of a layer, all of them or, as a dict by number from 0, some; -1 is the shortcut.
        widths: filters of the convolutions.
        project: whether the shortcut is a convolution.
        width: channels that the block takes.
        relu: makes the ReLUs inside.
        inside: how many of the inner tensors the model gives too.
    """

    DEFAULTS = {"project": False, "width": 8, "relu": L.ReLU, "inside": 0}

    def __init__(
        self, bottleneck=False, conv=None, bn=None, project=False, widths=None, width=8, relu=L.ReLU, inside=0
    ):
        self.sizes = (1, 3, 1) if bottleneck else (3, 3)
        self.widths = widths or ((2, 2, 8) if bottleneck else (8, 8))
        self.conv, self.bn, self.project, self.width, self.relu, self.inside = conv, bn, project, width, relu, inside

    def options(self, given, number):
        given = given or {}
        return given.get(number, {}) if all(isinstance(key, int) for key in given) else given

    def unit(self, x, number, filters, size):
        conv = {"kernel_size": size, "padding": "same", **self.options(self.conv, number)}
        x = L.Conv2D(filters, **conv)(x)
        return L.BatchNormalization(**self.options(self.bn, number))(x)

    def __call__(self):
        image = keras.Input((8, 8, 3))
        start = x = L.ReLU()(L.Conv2D(self.width, 3, padding="same")(image))
        outputs = []
        for number, (filters, size) in enumerate(zip(self.widths, self.sizes, strict=True)):
            x = self.unit(x, number, filters, size)
            outputs.append(x)
            if number < len(self.sizes) - 1:
                x = self.relu()(x)
        if self.project:
            start = self.unit(start, -1, self.widths[-1], 1)
        x = L.ReLU()(L.Add()([start, x]))
        return keras.Model(image, [x, *outputs[: self.inside]])


STRIDED = {0: {"strides": 2}, -1: {"strides": 2}}
GATED = {
    "basic": Parts(),
    "bottleneck": Parts(bottleneck=True),
    "projected": Parts(project=True, width=6),
    "bottleneck, projected": Parts(bottleneck=True, project=True, width=6),
    "stride on the first 1x1": Parts(bottleneck=True, project=True, conv=STRIDED),
    "stride on the last 1x1": Parts(bottleneck=True, project=True, conv={2: {"strides": 2}, -1: {"strides": 2}}),
    "no biases": Parts(conv={"use_bias": False}),
    "some biases": Parts(conv={0: {"use_bias": False}}),
    "a bias on the shortcut alone": Parts(project=True, width=6, conv={0: {"use_bias": False}, 1: {"use_bias": False}}),
    "other epsilon and momentum": Parts(bn={"epsilon": 0.1, "momentum": 0.5}),
    "no scale": Parts(bn={0: {"scale": False}}),
    "no center": Parts(bn={1: {"center": False}}),
    "the last axis by its number": Parts(bn={"axis": 3}),
    "ReLU as an Activation": Parts(relu=lambda: L.Activation("relu")),
    "1x1 without padding": Parts(bottleneck=True, conv={0: {"padding": "valid"}, 2: {"padding": "valid"}}),
    "a dilated 1x1, which is none": Parts(bottleneck=True, conv={0: {"dilation_rate": 2}}),
}
LEFT = {
    "a dilated convolution": (Parts(conv={0: {"dilation_rate": 2}}), "is dilated"),
    "different epsilon": (Parts(bn={1: {"epsilon": 0.1}}), "differ in epsilon"),
    "different epsilon on the shortcut": (Parts(project=True, width=6, bn={-1: {"epsilon": 0.1}}), "differ in epsilon"),
    "different momentum": (Parts(bn={0: {"momentum": 0.5}}), "differ in momentum"),
    "a wide block": (Parts(bottleneck=True, widths=(4, 4, 8)), "its widths are 4, 4, 8"),
    "a block of different inner widths": (Parts(bottleneck=True, widths=(2, 3, 8)), "its widths are 2, 3, 8"),
    "a basic block that is narrow inside": (Parts(widths=(4, 8)), "its widths are 4, 8"),
    "a projection at equal width": (Parts(project=True), "changes neither size nor width"),
    "a batch norm of rows": (Parts(bn={0: {"axis": 1}}), "normalizes axis 1"),
    "groups": (Parts(conv={1: {"groups": 2}}), "has 2 groups"),
    "an activation before the batch norm": (Parts(conv={0: {"activation": "relu"}}), "has an activation"),
    "an asymmetric stride": (Parts(project=True, conv=STRIDED), "pads on one side only"),
    "two strides": (
        Parts(True, project=True, conv={0: {"strides": 2}, 2: {"strides": 2}, -1: {"strides": 4}}),
        "two of its convolutions have strides",
    ),
    "a stride that is longer on the shortcut": (
        Parts(True, project=True, conv={0: {"strides": 8}, -1: {"strides": 9}}),
        "not a 1x1 convolution with the block's stride",
    ),
    "unequal strides": (
        Parts(True, project=True, conv={0: {"strides": (2, 1)}, -1: {"strides": (2, 1)}}),
        "has strides \\(2, 1\\)",
    ),
    "5x5": (Parts(conv={0: {"kernel_size": 5}}), "kernels of 5x5, 3x3"),
    "a bounded ReLU": (Parts(relu=lambda: L.ReLU(6.0)), "not the sum of"),
    "a leaky ReLU": (Parts(relu=lambda: L.ReLU(negative_slope=0.1)), "not the sum of"),
    "an inner tensor that is an output": (Parts(inside=1), "is used outside of the block"),
    "mixed dtypes": (Parts(relu=lambda: L.ReLU(dtype="float16")), "its layers differ in dtype"),
    "a regularizer": (Parts(conv={1: {"kernel_regularizer": "l2"}}), "has a regularizer"),
    "a frozen batch norm": (Parts(bn={1: {"trainable": False}}), "some of its layers are frozen"),
}


def shared(kind):
    def build():
        image = keras.Input((8, 8, 3))
        x = start = L.ReLU()(L.Conv2D(8, 3, padding="same")(image))
        conv, bn = L.Conv2D(8, 3, padding="same"), L.BatchNormalization()
        for number in range(2):
            x = (conv if kind == "conv" else L.Conv2D(8, 3, padding="same"))(x)
            x = (bn if kind == "bn" else L.BatchNormalization())(x)
            x = L.ReLU()(x) if number == 0 else x
        return keras.Model(image, L.ReLU()(L.Add()([start, x])))

    return build


LEFT |= {
    "a shared convolution": (shared("conv"), "is used more than once"),
    "a shared batch norm": (shared("bn"), "is used more than once"),
}


def check(model, blocks, indicators="both", tolerance=1e-6):
    images = images_for(randomised(model))
    before, weights = outputs_of(model, images), model.get_weights()
    gated = gate_model(model, indicators)
    assert sum(isinstance(layer, GatedBlock) for layer in gated.layers) == blocks
    for found, expected in zip(outputs_of(gated, images), before, strict=True):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=tolerance)
    for found, expected in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(found, expected)
    return gated


@pytest.mark.parametrize("build", GATED.values(), ids=GATED)
def test_a_gated_network_computes_the_same(build):
    check(build(), 1)


@pytest.mark.parametrize("indicators", ["none", "conv2", "both"])
@pytest.mark.parametrize("bottleneck", [False, True])
def test_every_choice_of_indicators(bottleneck, indicators):
    gated = check(Parts(bottleneck, bn={"epsilon": 0.1})(), 1, indicators)
    again = keras.Model.from_config(gated.get_config())
    again.set_weights(gated.get_weights())
    images = images_for(gated)
    np.testing.assert_array_equal(outputs_of(again, images)[0], outputs_of(gated, images)[0])


@pytest.mark.parametrize("dtype", POLICIES)
def test_half_precision_stays(dtype):
    skip_where_refused(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        model = Parts()()
    finally:
        keras.config.set_dtype_policy("float32")
    # One rounding differs: the fused kernel of BatchNorm gives half precision itself.
    gated = check(model, 1, tolerance=2e-2)
    assert {layer.dtype_policy.name for layer in gated.layers if isinstance(layer, GatedBlock)} == {dtype}


def test_double_precision_is_left():
    keras.config.set_dtype_policy("float64")
    try:
        model = Parts()()
    finally:
        keras.config.set_dtype_policy("float32")
    with pytest.raises(UserError, match="its layers compute in float64"):
        gate_model(model)


@pytest.mark.parametrize("build, reason", LEFT.values(), ids=LEFT)
def test_what_cannot_be_gated_exactly_stays_and_is_named(build, reason):
    model = build()
    with pytest.raises(UserError, match=f"add[_0-9]*: .*{reason}"):
        gate_model(model)
    # Beside a block that can be gated it stays as it is.
    x = model.outputs[0]
    y = L.BatchNormalization()(L.Conv2D(x.shape[-1], 3, padding="same")(x))
    y = L.BatchNormalization()(L.Conv2D(x.shape[-1], 3, padding="same")(L.ReLU()(y)))
    check(keras.Model(model.input, [L.ReLU()(L.Add()([x, y])), *model.outputs]), 1)


def test_the_error_names_some_blocks_for_each_reason():
    image = keras.Input((4, 4, 2))
    x = image
    for _ in range(5):
        x = L.Add()([x, L.Conv2D(2, 1)(x)])
    with pytest.raises(UserError, match=r"add\w*, add\w*, add\w* and 2 more: not the sum of two or three"):
        gate_model(keras.Model(image, x))


def test_one_relu_may_serve_all():
    image = keras.Input((8, 8, 3))
    relu = L.ReLU()
    x = relu(L.Conv2D(8, 3, padding="same")(image))
    for _ in range(2):
        y = relu(L.BatchNormalization()(L.Conv2D(8, 3, padding="same")(x)))
        x = relu(L.Add()([x, L.BatchNormalization()(L.Conv2D(8, 3, padding="same")(y))]))
    check(keras.Model(image, x), 2)


def test_a_frozen_block_stays_frozen():
    model = Parts()()
    model.trainable = False
    gated = check(model, 1)
    assert not gated.trainable_variables
    again = keras.Model.from_config(gated.get_config())
    images = images_for(again)
    np.testing.assert_array_equal(*(keras.tree.flatten(again(images, training=flag))[0] for flag in (False, True)))


def test_a_tower_that_is_called_twice_is_left_and_one_inside_a_model_is_gated():
    tower, image, other = Parts()(), keras.Input((8, 8, 3), name="image"), keras.Input((8, 8, 3), name="other")
    check(keras.Model(image, [2 * x for x in tower(image)]), 1)
    with pytest.raises(UserError, match="is used more than once"):
        gate_model(keras.Model([image, other], [*tower(image), *tower(other)]))
