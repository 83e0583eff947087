"""The networks of teacher and student that the settings describe, gated or of stock layers, with their weights."""

import keras
import numpy as np
import pytest

from keras_cdd.data.records import RetrievalDataset
from keras_cdd.errors import UserError
from keras_cdd.experiment import networks
from keras_cdd.experiment.networks import make_heavy_student, make_teacher
from keras_cdd.experiment.static_cut import StaticCut
from keras_cdd.models import gated_resnet
from keras_cdd.models.gated_units import gated_units
from keras_cdd.models.pretrained.weights import Weights
from keras_cdd.settings.config import Config, DataConfig, NetworkConfig, RunConfig
from tests.experiment.conftest import tiny_stock


class FourIdentities:
    """What the networks need to know of a data set."""

    num_identities = 4
    inverted = False
    rescaling = RetrievalDataset.rescaling


DATA = FourIdentities()


def settings(backbone=None, head=None, **run):
    network = NetworkConfig(backbone, width=4, stem="small", head=head, embedding_size=8)
    return Config(data=DataConfig(image_size=(16, 16)), network=network, run=RunConfig(**run))


def pixels():
    return np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype("float32")


def trained(model):
    """Moves every weight away from its initial value."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(weight + 0.1 * rng.uniform(size=weight.shape))
    return model


def same_outputs(one, other):
    return all(np.allclose(one(pixels())[name], value, atol=1e-5) for name, value in other(pixels()).items())


@pytest.fixture
def save(tmp_path):
    def save(model, name="model.keras"):
        model.save(tmp_path / name)
        return str(tmp_path / name)

    return save


def test_the_student_of_stock_layers_starts_as_a_copy_of_its_teacher(stock_backbone):
    config = settings(stock_backbone)
    teacher = trained(make_teacher(config, DATA))
    student = make_heavy_student(config, DATA, teacher)
    assert student is not teacher and same_outputs(student, teacher) and not gated_units(student)
    assert not {id(weight) for weight in student.weights} & {id(weight) for weight in teacher.weights}
    fresh = make_heavy_student(settings(stock_backbone, student_init="random"), DATA, teacher)
    assert not same_outputs(fresh, teacher)
    np.testing.assert_array_equal(fresh.get_layer("expand0_bn").moving_mean, 0)


def test_a_frozen_teacher_s_student_learns(stock_backbone):
    teacher = make_teacher(settings(stock_backbone), DATA)
    teacher.trainable = False
    student = make_heavy_student(settings(stock_backbone), DATA, teacher)
    assert len(student.trainable_variables) > 10


def test_a_gated_student_has_indicators_and_its_teacher_s_outputs(tiny_backbone):
    config = settings(tiny_backbone)
    teacher = trained(make_teacher(config, DATA))
    student = make_heavy_student(config, DATA, teacher)
    assert len(gated_units(student)) == 2 and same_outputs(student, teacher)


def test_a_backbone_beside_another_teacher_is_the_student_s(tiny_backbone, stock_backbone):
    teacher = make_teacher(settings(tiny_backbone), DATA)
    student = make_heavy_student(settings(stock_backbone, teacher="teacher.keras"), DATA, teacher)
    assert student.get_layer("depthwise1") and not gated_units(student)
    # Without a backbone it is a copy of the teacher.
    assert len(gated_units(make_heavy_student(settings(teacher="teacher.keras"), DATA, teacher))) == 2
    # The teacher's own architecture starts with its weights.
    trained(teacher)
    student = make_heavy_student(settings(tiny_backbone, teacher="teacher.keras"), DATA, teacher)
    assert same_outputs(student, teacher)


def test_a_teacher_without_logits_gives_a_student_with_them(stock_backbone):
    teacher = make_teacher(settings(stock_backbone), DATA)
    embedder = keras.Model(teacher.input, {"embedding": teacher.output["embedding"]})
    student = make_heavy_student(settings(teacher="teacher.keras"), DATA, embedder)
    assert {name: output.shape[1] for name, output in student.output.items()} == {
        "features": 8,
        "embedding": 8,
        "logits": 4,
    }
    np.testing.assert_allclose(student(pixels())["embedding"], embedder(pixels())["embedding"], atol=1e-6)


def test_a_student_model_keeps_its_weights_beside_another_teacher(save, tiny_backbone):
    mine = trained(tiny_stock((16, 16)))
    teacher = make_teacher(settings(tiny_backbone), DATA)
    path = save(mine)
    student = make_heavy_student(settings(tiny_backbone, student_model=path), DATA, teacher)
    features = np.mean(mine(pixels()), axis=(1, 2))
    np.testing.assert_allclose(student(pixels())["features"], features, rtol=1e-5)
    fresh = make_heavy_student(settings(tiny_backbone, student_model=path, student_init="random"), DATA, teacher)
    assert not np.allclose(fresh(pixels())["features"], features, rtol=1e-2)


def test_without_a_backbone_the_student_model_is_the_teacher_too(save):
    mine = trained(tiny_stock((16, 16)))
    config = settings(student_model=save(mine))
    teacher = make_teacher(config, DATA)
    np.testing.assert_allclose(teacher(pixels())["features"], np.mean(mine(pixels()), axis=(1, 2)), rtol=1e-5)
    # It has learnt since: the student starts with what it knows.
    trained(teacher)
    assert same_outputs(make_heavy_student(config, DATA, teacher), teacher)


def test_a_normalization_keeps_what_it_divides_by(save):
    image = keras.Input((16, 16, 3))
    normal = keras.layers.Normalization()
    normal.adapt(pixels())
    mine = keras.Model(image, keras.layers.Conv2D(4, 3, name="conv")(normal(image)))
    config = settings(student_model=save(mine))
    teacher = make_teacher(config, DATA)
    expected = np.mean(mine(pixels()), axis=(1, 2))
    for model in (teacher, make_heavy_student(config, DATA, teacher)):
        np.testing.assert_allclose(model(pixels())["features"], expected, atol=1e-5)


def test_imagenet_weights_and_their_rescaling_reach_the_network(monkeypatch, stock_backbone):
    source = trained(tiny_stock((16, 16), rescaling=(1 / 255, [0.1, 0.2, 0.3])))
    arrays = {weight.path: np.asarray(weight) for weight in source.weights}
    known = {stock_backbone: Weights(arrays, (1 / 255, [0.1, 0.2, 0.3]))}
    monkeypatch.setattr(networks, "imagenet_weights", known.__getitem__)
    config = settings(stock_backbone, pretrained="imagenet", student_init="pretrained")
    teacher = make_teacher(config, DATA)
    expected = np.mean(source(pixels()), axis=(1, 2))
    np.testing.assert_allclose(teacher(pixels())["features"], expected, rtol=1e-5)
    # The student starts again from ImageNet, with the teacher's rescaling.
    student = make_heavy_student(config, DATA, trained(teacher))
    np.testing.assert_allclose(student(pixels())["features"], expected, rtol=1e-5)


def test_another_run_s_network_is_pretrained_weights(save, stock_backbone):
    source = trained(make_teacher(settings(stock_backbone), DATA))
    more = type("FiveIdentities", (FourIdentities,), {"num_identities": 5})()
    teacher = make_teacher(settings(stock_backbone, pretrained=save(source), head="neck"), more)
    np.testing.assert_allclose(teacher(pixels())["embedding"], source(pixels())["embedding"], atol=1e-5)
    assert teacher.output["logits"].shape[1] == 5
    # Of a head of another kind nothing is taken.
    other = make_teacher(settings(stock_backbone, pretrained=save(source), head="linear"), more)
    np.testing.assert_allclose(other(pixels())["features"], source(pixels())["features"], atol=1e-5)
    assert not np.allclose(other.get_layer("head_dense").kernel, source.get_layer("head_dense").kernel, atol=1e-3)


@pytest.mark.parametrize("rescaling, stride_on", [((1 / 255, [0.1, 0.2, 0.3]), "conv2"), ((1 / 64, -1.0), "conv1")])
def test_a_file_s_preprocessing_and_strides_reach_gated_blocks(save, tiny_backbone, rescaling, stride_on):
    shape = {"width": 4, "stem": "small", "image_size": (16, 16), "num_classes": 4, "embedding_size": 8}
    source = gated_resnet(tiny_backbone, **shape, rescaling=rescaling, stride_on=stride_on, indicators="none")
    teacher = make_teacher(settings(tiny_backbone, pretrained=save(trained(source)), head="neck"), DATA)
    np.testing.assert_allclose(teacher(pixels())["features"], source(pixels())["features"], rtol=1e-4)


def test_a_file_s_preprocessing_holds_for_dark_subjects_too(save, stock_backbone):
    inverted = type("Inverted", (FourIdentities,), {"inverted": True})()
    source = trained(tiny_stock((16, 16), rescaling=(1 / 255, 0.0)))
    teacher = make_teacher(settings(stock_backbone, pretrained=save(source), head="neck"), inverted)
    np.testing.assert_allclose(teacher(pixels())["features"], np.mean(source(pixels()), axis=(1, 2)), rtol=1e-5)


def test_weights_of_another_network_are_refused(save, tiny_backbone, stock_backbone):
    source = make_teacher(settings(tiny_backbone), DATA)
    with pytest.raises(UserError, match="The weights lack 22 of the backbone.s, such as expand0/kernel"):
        make_teacher(settings(stock_backbone, pretrained=save(source)), DATA)


def test_dark_subjects_on_white_paper_are_inverted(stock_backbone):
    inverted = type("Inverted", (FourIdentities,), {"inverted": True})()
    assert make_teacher(settings(stock_backbone), inverted).get_layer("pixels").scale == -1 / 127.5


def test_a_static_student_of_stock_layers_has_a_width_per_site(stock_backbone):
    heavy = make_teacher(settings(stock_backbone), DATA)
    slim = StaticCut(heavy, "1,2,3").applied(heavy)
    assert [slim.get_layer(name).filters for name in ("expand0", "expand1", "top")] == [1, 2, 3]
    with pytest.raises(UserError, match="--kept_filters needs 3 numbers"):
        StaticCut(heavy, "1,2")


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ({"student_init": "pretrained"}, "needs --pretrained or --student_model"),
        ({"student_model": "my.keras", "pretrained": "imagenet"}, "--pretrained needs a --backbone"),
    ],
)
def test_settings_that_do_not_fit_together(run, words):
    with pytest.raises(UserError, match=words):
        settings(**run)
