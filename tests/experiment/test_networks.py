"""The student that the settings ask for, and widths of a static one: made if valid, otherwise refused with one line."""

import types

import keras
import pytest

from keras_cdd.errors import MissingFileError, UserError
from keras_cdd.experiment.networks import make_heavy_student
from keras_cdd.experiment.static_cut import StaticCut
from keras_cdd.layers import GatedBasicBlock
from keras_cdd.models import gated_resnet
from keras_cdd.models.gated_units import gated_units
from keras_cdd.settings.config import CompressionConfig, Config, NetworkConfig, RunConfig, SurgeryConfig


@pytest.fixture(scope="module")
def heavy():
    """Sites of 4, 4, 8, 8, 16, 16, 32 and 32 channels."""
    return gated_resnet("resnet18", width=4, image_size=(16, 16), embedding_size=8, stem="small")


def test_counts_are_taken(heavy):
    slim = StaticCut(heavy, "1,2,3,4,5,6,7,8").applied(heavy)
    kernels = {weight.path: weight.shape[-1] for weight in slim.weights if weight.path.endswith("conv1/conv/kernel")}
    assert list(kernels.values()) == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    "kept, words",
    [
        ("1,2", "needs 8 numbers"),
        ("1,2,3,4,5,6,7,x", "takes 1 to 32 channels at stage4_block2"),
        ("0,2,3,4,5,6,7,8", "takes 1 to 4 channels at stage1_block1"),
        ("5,2,3,4,5,6,7,8", "takes 1 to 4 channels at stage1_block1"),
    ],
)
def test_wrong_counts_are_a_user_s_mistake(heavy, kept, words):
    with pytest.raises(UserError, match=words):
        StaticCut(heavy, kept)


def test_a_file_that_is_not_there(heavy):
    with pytest.raises(MissingFileError, match="--kept_filters nowhere.keras is not there"):
        StaticCut(heavy, "nowhere.keras")


def student(teacher, indicator, **run):
    data = types.SimpleNamespace(num_identities=3)
    return make_heavy_student(Config(network=NetworkConfig(indicator=indicator), run=RunConfig(**run)), data, teacher)


def test_what_acts_on_indicators_gets_the_dense_ones_of_the_paper():
    assert Config().gated_indicator == "diagonal"
    for settings in (
        {"compression": CompressionConfig(compression="lasso")},
        {"compression": CompressionConfig(gradient_reset_epoch=0.0)},
        {"surgery": SurgeryConfig(importance="norm")},
        {"surgery": SurgeryConfig(importance_threshold=0.1)},
        {"surgery": SurgeryConfig(cut="outputs")},
    ):
        assert Config(**settings).gated_indicator == "dense"
    asked = NetworkConfig(indicator="diagonal")
    assert Config(network=asked, surgery=SurgeryConfig(importance="norm")).gated_indicator == "diagonal"


@pytest.mark.parametrize("indicator", ["none", "dense", "diagonal"])
def test_gated_blocks_get_the_indicators_that_are_asked_for(indicator, tiny_backbone):
    options = {"width": 4, "image_size": (16, 16), "num_classes": 3, "embedding_size": 8, "stem": "small"}
    teacher = gated_resnet(tiny_backbone, **options, indicators="none")
    made = student(teacher, indicator)
    kind = "diagonal" if indicator == "none" else indicator
    shapes = [unit.indicator.kernel.shape for unit in gated_units(made).values()]
    assert shapes == [(1, 1, width if kind == "dense" else 1, width) for width in (4, 8)]
    # Trained ones of the other kind stay, or cannot become these.
    other = gated_resnet(tiny_backbone, **options, indicator={"dense": "diagonal", "diagonal": "dense"}[kind])
    if indicator == "none":
        assert student(other, indicator).get_layer("stage1_block1").indicator == "dense"
    else:
        with pytest.raises(UserError, match=f"another kind at stage1_block1/conv1 than --indicator={kind}"):
            student(other, indicator)
    fresh = student(other, indicator, student_init="random")
    assert [unit.indicator.kernel.shape for unit in gated_units(fresh).values()] == shapes


def test_a_student_that_starts_with_both_kinds_is_refused():
    image = keras.Input((8, 8, 3))
    x = GatedBasicBlock(4, name="a")(image)
    x = GatedBasicBlock(4, indicator="diagonal", name="b")(x)
    embedding = keras.layers.Dense(2, name="embedding")(keras.layers.GlobalAveragePooling2D(name="features")(x))
    mixed = keras.Model(image, {"embedding": embedding})
    with pytest.raises(UserError, match="another kind at b/conv1 than --indicator=dense"):
        student(mixed, "none")
