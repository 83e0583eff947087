"""What a student can learn from a teacher of another architecture."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_cdd.distill import Distiller
from keras_cdd.errors import UserError
from keras_cdd.experiment.common_ground import agreed_compression, agreed_weights, require_indicators, shared_sites
from keras_cdd.experiment.parts import make_parts
from keras_cdd.layers import embedding_head
from keras_cdd.losses import LossWeights
from keras_cdd.models import BACKBONES, gate_model, gated_resnet
from keras_cdd.models.gated_units import gated_blocks
from keras_cdd.models.sites import cut_sites
from keras_cdd.settings.config import CompressionConfig, Config, SurgeryConfig
from keras_cdd.surgery import plan_surgery, rebuild

RESET = Config(compression=CompressionConfig(gradient_reset_epoch=0.0))
LASSO = Config(compression=CompressionConfig(compression="lasso"))
PLAIN = {"image_size": (16, 16), "embedding_size": 8, "stem": "small", "num_classes": 3}


def stock(filters, embedding_size=8, num_classes=3, top="top"):
    image = keras.Input((16, 16, 3))
    x = image
    for number, count in enumerate(filters):
        x = keras.layers.Conv2D(count, 3, strides=2, activation="relu", name=f"conv{number}")(x)
    x = keras.layers.Conv2D(6, 1, name=top)(x)
    return keras.Model(image, embedding_head(x, embedding_size, num_classes))


@pytest.fixture(scope="module")
def gated(tiny_backbone):
    return gated_resnet(tiny_backbone, width=4, **PLAIN)


@pytest.fixture(scope="module")
def twin(tiny_backbone):
    """The plain network of the same architecture."""
    return gated_resnet(tiny_backbone, width=4, indicators="none", **PLAIN)


def test_the_same_architecture_shares_everything(gated, twin):
    assert agreed_weights(gated, twin, LossWeights()) == (LossWeights(), [])
    assert shared_sites(gated, twin) == ([f"stage{stage}_block1/conv1" for stage in (1, 2)], 2)
    assert agreed_compression(RESET, gated, twin) == (RESET.compression, [])
    assert agreed_weights(stock((4, 5)), stock((4, 5)), LossWeights()) == (LossWeights(), [])


def test_a_student_that_was_cut_still_shares_its_sites(gated, twin):
    widths = {
        site: block.filters for site, block in zip(shared_sites(gated, twin)[0], gated_blocks(gated), strict=True)
    }
    importance = {site: np.arange(1.0, 1.0 + width) for site, width in widths.items()}
    slim = rebuild(gated, plan_surgery(gated, target_macs=0.7, importance=importance))
    assert shared_sites(slim, twin) == shared_sites(gated, twin)
    # A cut teacher has other channels where it was cut.
    weights, lines = agreed_weights(gated, slim, LossWeights())
    assert weights == LossWeights(feature=0.0) and len(lines) == 1
    assert agreed_compression(RESET, slim, twin) == (RESET.compression, [])
    compression, lines = agreed_compression(RESET, gated, slim)
    assert compression == Config().compression
    assert len(lines) == 1 and lines[0].endswith("by name and width: the gradient reset is off.")


def test_nothing_in_common_leaves_logits_embeddings_and_relations(gated):
    for student, teacher in ((gated, stock((4, 5))), (stock((4, 5)), gated), (stock((4, 5)), stock((6,), top="other"))):
        weights, lines = agreed_weights(student, teacher, LossWeights())
        assert weights == LossWeights(feature=0.0)
        assert lines == ["Teacher and student share no site of the same name and width: the feature loss is off."]


def test_wider_blocks_of_the_same_names_are_not_compared(gated, tiny_backbone):
    wide = gated_resnet(tiny_backbone, width=8, indicators="none", **PLAIN)
    assert shared_sites(gated, wide) == ([], 2)


def test_a_part_in_common_is_compared_in_stock_layers():
    student, teacher = stock((4, 5)), stock((4, 7))
    assert shared_sites(student, teacher) == (["conv0", "top"], 3)
    weights, lines = agreed_weights(student, teacher, LossWeights())
    assert weights == LossWeights()
    assert lines == ["The feature loss compares the 2 of 3 sites that the teacher has, too."]


def test_gated_blocks_are_compared_in_all_or_in_none(gated, twin, tiny_backbone, monkeypatch):
    block, depths = BACKBONES[tiny_backbone]
    monkeypatch.setitem(BACKBONES, "deeper", (block, (*depths[:1], 2)))
    deeper = gated_resnet("deeper", width=4, **PLAIN)
    weights, lines = agreed_weights(deeper, twin, LossWeights())
    assert weights == LossWeights(feature=0.0) and "only 2 of the student's 3 sites" in lines[0]
    Distiller(deeper, twin, weights)
    assert agreed_weights(gated, deeper, LossWeights()) == (LossWeights(), [])


def test_compression_and_reset_need_indicators(gated):
    plain, slimmer = stock((4, 5)), stock((4, 7))
    for config, flag in ((RESET, "--gradient_reset_epoch"), (LASSO, "--compression")):
        with pytest.raises(UserError, match=f"{flag} acts on indicators"):
            require_indicators(config, plain)
    require_indicators(Config(), plain)
    indicated = gate_model(plain, indicator="diagonal")
    for config in (RESET, LASSO):
        require_indicators(config, indicated)
    assert agreed_compression(LASSO, indicated, slimmer) == (LASSO.compression, [])
    assert agreed_compression(RESET, indicated, plain) == (RESET.compression, [])


def test_the_reset_acts_where_both_have_a_site(gated):
    indicated, slimmer, other = gate_model(stock((4, 5)), indicator="diagonal"), stock((4, 7)), stock((6,), top="other")
    assert agreed_compression(RESET, indicated, slimmer) == (
        RESET.compression,
        ["The gradient reset acts on the 2 of 3 indicators whose site the teacher has."],
    )
    (reset,) = make_parts(RESET, cut_sites(indicated), slimmer, 1)
    assert reset.masks.keys() == {"conv0", "top"}
    for student, teacher, own in ((indicated, other, 3), (gated, slimmer, 2)):
        assert agreed_compression(RESET, student, teacher) == (
            Config().compression,
            [f"The teacher has 0 of the {own} sites with indicators, by name and width: the gradient reset is off."],
        )
        ranked = dataclasses.replace(RESET, surgery=SurgeryConfig(importance="reset", target_macs=0.5))
        with pytest.raises(UserError, match=f"has 0 of {own} .*rank by --importance=fisher"):
            agreed_compression(ranked, student, teacher)


def test_without_logits_and_with_another_length_of_the_embedding():
    teacher, student = stock((4, 5), embedding_size=9, num_classes=None), stock((4, 5))
    weights, lines = agreed_weights(student, teacher, LossWeights())
    assert weights == LossWeights(logit=0.0, embedding=0.0)
    assert len(lines) == 2 and "no logits" in lines[0] and "9 values, the student's 8" in lines[1]


def test_what_is_off_already_is_not_mentioned():
    off = LossWeights(logit=0.0, embedding=0.0, feature=0.0)
    teacher = stock((7,), embedding_size=9, num_classes=None, top="other")
    assert agreed_weights(stock((4, 5)), teacher, off) == (off, [])
    assert agreed_weights(stock((4, 5)), None, LossWeights()) == (LossWeights(), [])
