"""What a student can learn from a teacher of another architecture."""

import keras
import pytest

from keras_cdd.errors import UserError
from keras_cdd.experiment.common_ground import agreed_weights, require_shared_sites, shared_sites
from keras_cdd.layers import embedding_head
from keras_cdd.losses import LossWeights
from keras_cdd.models import gated_resnet
from keras_cdd.surgery import plan_surgery, rebuild

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


def test_the_same_architecture_shares_everything(gated, tiny_backbone):
    teacher = gated_resnet(tiny_backbone, width=4, indicators="none", **PLAIN)
    assert agreed_weights(gated, teacher, LossWeights()) == (LossWeights(), [])
    assert set(shared_sites(gated, teacher).values()) == {4, 8, 16}
    require_shared_sites(gated, teacher)
    twins = stock((4, 5)), stock((4, 5))
    assert agreed_weights(*twins, LossWeights()) == (LossWeights(), [])
    require_shared_sites(*twins)


def test_a_student_that_was_cut_still_shares_its_sites(gated, tiny_backbone):
    teacher = gated_resnet(tiny_backbone, width=4, indicators="none", **PLAIN)
    slim = rebuild(gated, plan_surgery(gated, target_macs=0.6, importance={n: range(1, w + 1) for n, w in full(gated)}))
    assert shared_sites(slim, teacher) == shared_sites(gated, teacher)
    # A cut teacher has other channels at the sites where it was cut.
    assert len(shared_sites(gated, slim)) < len(shared_sites(gated, teacher))


def full(model):
    return shared_sites(model, model).items()


def test_nothing_in_common_leaves_logits_embeddings_and_relations(gated):
    weights, lines = agreed_weights(gated, stock((4, 5)), LossWeights())
    assert weights == LossWeights(feature=0.0)
    assert lines == ["Teacher and student have no site of the same name and width: the feature loss is off."]
    with pytest.raises(UserError, match="--gradient_reset_epoch needs .*3 of 3, such as stage1_block1/conv1, are not"):
        require_shared_sites(gated, stock((4, 5)))


def test_a_part_in_common_is_compared(gated):
    student, teacher = stock((4, 5)), stock((4, 7))
    assert shared_sites(student, teacher) == {"conv0": 4}
    weights, lines = agreed_weights(student, teacher, LossWeights())
    assert weights == LossWeights()
    (line,) = lines
    assert "the 1 of 2 sites" in line
    with pytest.raises(UserError, match="such as conv1"):
        require_shared_sites(student, teacher)


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


def test_a_student_without_sites_cannot_be_reset():
    image = keras.Input((16, 16, 3))
    bare = keras.Model(image, {"embedding": keras.layers.GlobalAveragePooling2D()(image)})
    with pytest.raises(UserError, match="it has none"):
        require_shared_sites(bare, bare)
