"""`--teacher` and `--student_model`: what can be used gets the outputs that training needs, the rest is refused."""

import keras
import numpy as np
import pytest

from keras_cdd.errors import MissingFileError, UserError
from keras_cdd.experiment.given_models import load_student_model, load_teacher
from keras_cdd.layers import embedding_head

L = keras.layers
SIZE = (16, 16)
pytestmark = pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")


def feature_map(image, name="conv"):
    return L.Conv2D(6, 3, strides=2, activation="relu", name=name)(image)


def image(shape=(*SIZE, 3)):
    return keras.Input(shape)


def network(outputs, shape=(*SIZE, 3)):
    inputs = image(shape)
    return keras.Model(inputs, outputs(feature_map(inputs)))


def pooled(x):
    return L.GlobalAveragePooling2D()(x)


@pytest.fixture
def saved(tmp_path):
    def save(model):
        model.save(tmp_path / "model.keras")
        return str(tmp_path / "model.keras")

    return save


def student(path):
    return load_student_model(path, SIZE, num_classes=5, embedding_size=8, pooling="avg")


def shapes(model):
    return {name: tuple(output.shape[1:]) for name, output in model.output.items()}


def pixels():
    return np.random.default_rng(0).uniform(0, 255, (2, *SIZE, 3)).astype("float32")


@pytest.mark.parametrize("outputs", [lambda x: x, pooled, lambda x: [pooled(x)]], ids=["map", "vector", "list"])
def test_a_backbone_gets_our_head(saved, outputs):
    model = network(outputs)
    ours = student(saved(model))
    assert shapes(ours) == {"features": (6,), "embedding": (8,), "logits": (5,)}
    expected = np.asarray(keras.tree.flatten(model(pixels()))[0])
    expected = expected.mean(axis=(1, 2)) if expected.ndim == 4 else expected
    np.testing.assert_allclose(ours(pixels())["features"], expected, rtol=1e-5)


def test_a_model_with_all_outputs_keeps_its_classifier(saved):
    model = network(lambda x: embedding_head(x, 4, num_classes=5))
    ours = student(saved(model))
    for name, expected in model(pixels()).items():
        np.testing.assert_array_equal(ours(pixels())[name], expected)


@pytest.mark.parametrize("classes", [None, 7])
def test_without_logits_of_the_run_s_identities_a_classifier_is_added(saved, classes):
    model = network(lambda x: embedding_head(x, 4, num_classes=classes))
    ours = student(saved(model))
    assert shapes(ours) == {"features": (6,), "embedding": (4,), "logits": (5,)}
    assert ours.get_layer("head_logits").kernel.shape == (4, 5)
    np.testing.assert_array_equal(ours(pixels())["embedding"], model(pixels())["embedding"])


def test_without_features_they_are_the_embedding(saved):
    ours = student(saved(network(lambda x: {"embedding": L.Dense(4)(pooled(x))})))
    assert shapes(ours) == {"features": (4,), "embedding": (4,), "logits": (5,)}
    outputs = ours(pixels())
    np.testing.assert_array_equal(outputs["features"], outputs["embedding"])


def test_a_nested_backbone_becomes_its_layers(saved):
    """Two towers whose layers have the same names: training tells weights apart by their paths."""
    towers = [keras.Sequential([image(), L.Conv2D(4, 3, name="conv")], name=name) for name in ("left", "right")]
    inputs = image()
    model = keras.Model(inputs, L.Add()([tower(inputs) for tower in towers]))
    ours = student(saved(model))
    assert not [layer for layer in ours.layers if isinstance(layer, keras.Model)]
    assert len({weight.path for weight in ours.weights}) == len(ours.weights)
    np.testing.assert_allclose(ours(pixels())["features"], np.mean(model(pixels()), axis=(1, 2)), rtol=1e-5)


@keras.saving.register_keras_serializable("test_given_models")
class Subclass(keras.Model):
    """A model without a graph."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = L.Dense(4)

    def call(self, inputs):
        return {"embedding": self.dense(keras.ops.mean(inputs, axis=(1, 2)))}


def subclass():
    model = Subclass()
    model(pixels())
    return model


def two_inputs():
    one, two = image(), image()
    return keras.Model([one, two], pooled(feature_map(L.Add()([one, two]))))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (subclass, "is no functional model"),
        (two_inputs, r"images of \(16, 16, 3\) and \(16, 16, 3\), the run has \(16, 16, 3\)"),
        (lambda: network(pooled, (32, 32, 3)), r"images of \(32, 32, 3\), the run has \(16, 16, 3\); set --image_size"),
        (lambda: network(pooled, (None, None, 3)), r"images of \(None, None, 3\)"),
        (lambda: network(pooled, (16, 16, 1)), r"images of \(16, 16, 1\)"),
        (lambda: network(lambda x: [x, pooled(x)]), r"one output .*Received: \[\(None, 7, 7, 6\), \(None, 6\)\]"),
        (lambda: network(lambda x: {"embedding": x, "map": x}), "a dict of outputs with an `embedding`"),
        (lambda: network(lambda x: L.Reshape((49, 6))(x)), r"Received: \[\(None, 49, 6\)\]"),
    ],
)
def test_a_student_model_that_cannot_be_used_is_refused(saved, make, words):
    with pytest.raises(UserError, match=f"^--student_model .*{words}") as error:
        student(saved(make()))
    assert "\n" not in str(error.value)


def test_a_teacher_of_any_architecture_is_taken(saved):
    whole = network(lambda x: embedding_head(x, 4, num_classes=5))
    assert load_teacher(saved(whole), SIZE, 5).output.keys() == {"features", "embedding", "logits"}
    embedder = network(lambda x: {"embedding": pooled(x)})
    assert load_teacher(saved(embedder), SIZE, 5).output.keys() == {"embedding"}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (subclass, "is no functional model"),
        (lambda: network(pooled), "does not fit: its outputs are no dict with an `embedding`"),
        (lambda: network(lambda x: {"embedding": x}), "does not fit: its outputs are no dict with an `embedding`"),
        (lambda: network(lambda x: embedding_head(x, 4, 7)), "it knows 7 identities, the run has 5"),
        (lambda: network(lambda x: {"embedding": pooled(x)}, (8, 16, 3)), r"it takes images of \(8, 16, 3\)"),
    ],
)
def test_a_model_that_cannot_teach_is_refused(saved, make, words):
    with pytest.raises(UserError, match=f"^--teacher .*{words}") as error:
        load_teacher(saved(make()), SIZE, 5)
    assert "\n" not in str(error.value)


def test_files_that_are_not_there():
    with pytest.raises(MissingFileError, match="--student_model nowhere.keras is not there"):
        student("nowhere.keras")
    with pytest.raises(MissingFileError, match="--teacher nowhere.keras is not there"):
        load_teacher("nowhere.keras", SIZE, 5)
