"""The ResNet of gated blocks: sizes, outputs and errors."""

import dataclasses
import inspect

import keras
import numpy as np
import pytest

from keras_cdd.errors import UserError
from keras_cdd.layers import GatedBasicBlock, GatedBlock
from keras_cdd.models import gated_resnet, with_indicators
from keras_cdd.models.gated_units import gated_units
from keras_cdd.settings.config import Config, NetworkConfig

TINY = {"width": 4, "embedding_size": 8, "num_classes": 3}


@pytest.mark.parametrize("stem", ["standard", "small"])
@pytest.mark.parametrize("size", [(1, 1), (3, 8)])
def test_any_image_size(stem, size):
    model = gated_resnet("resnet18", image_size=size, stem=stem, **TINY)
    outputs = model(np.zeros((2, *size, 3), "float32"))
    shapes = {name: tuple(value.shape) for name, value in outputs.items()}
    assert shapes == {"features": (2, 32), "embedding": (2, 8), "logits": (2, 3)}


@pytest.mark.parametrize("last_stride", [1, 2])
@pytest.mark.parametrize("pooling", ["avg", "gem"])
def test_choices_survive_the_config(last_stride, pooling):
    model = gated_resnet("resnet18", image_size=(32, 32), last_stride=last_stride, pooling=pooling, **TINY)
    again = keras.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    image = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype("float32")
    np.testing.assert_array_equal(again(image)["embedding"], model(image)["embedding"])
    last = [layer for layer in again.layers if isinstance(layer, GatedBlock)][-1]
    assert last.output.shape[1] == 2 // last_stride


@pytest.mark.parametrize(
    "wrong, text",
    [
        ({"backbone": "resnet19"}, "backbone='resnet19'"),
        ({"stem": "big"}, "stem='big'"),
        ({"last_stride": 3}, "last_stride=3"),
        ({"indicators": "conv1"}, "indicators='conv1'"),
        ({"pooling": "max"}, "pooling='max'"),
    ],
)
def test_errors_name_the_argument(wrong, text):
    with pytest.raises(ValueError, match=f"must be one of .* Received: {text}"):
        gated_resnet(**({"backbone": "resnet18"} | wrong))


def test_a_heavy_student_needs_a_network_with_uncut_outer_widths():
    image = keras.Input((8, 8, 3))
    x = GatedBasicBlock(4, 2, "none", name="whole")(image)
    heavy = with_indicators(keras.Model(image, x), "both")
    assert list(gated_units(heavy)) == ["whole/conv1"]
    cut = keras.Model(image, GatedBasicBlock(4, indicators="none", outer_filters=3, name="cut")(x))
    with pytest.raises(UserError, match="outer widths are uncut.*cut with 3 of 4"):
        with_indicators(cut, "both")


def test_the_defaults_are_those_of_the_flags():
    flags, arguments = NetworkConfig(), inspect.signature(gated_resnet).parameters
    values = {field.name: getattr(flags, field.name) for field in dataclasses.fields(flags)}
    # Without a `--backbone` or a `--head` they depend on the other flags.
    values |= {"backbone": flags.any_backbone, "head": Config().head}
    # Of these, the flag's default depends on what acts on them; a network alone has those of the paper.
    values["indicator"] = "dense"
    for name, value in values.items():
        assert arguments[name].default == value, name
