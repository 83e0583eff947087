"""Widths of a static student: used if valid, otherwise refused with one line."""

import pytest

from keras_cdd.errors import MissingFileError, UserError
from keras_cdd.experiment.static_cut import StaticCut
from keras_cdd.models import gated_resnet


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
