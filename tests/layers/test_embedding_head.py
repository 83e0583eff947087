"""The three heads: what they compute, and that they go through files, surgery and the deployed form."""

import keras
import numpy as np
import pytest

from keras_cdd.layers import embedding_head
from keras_cdd.models import count_params
from keras_cdd.models.sites import sites
from keras_cdd.surgery import fuse, plan_surgery, rebuild

L = keras.layers
LENGTHS = {"neck": 5, "linear": 5, "none": 8}
WEIGHTED = {"neck": {"head_bn1", "head_dense", "head_bn2", "head_logits"}}
WEIGHTED |= {"linear": {"head_dense", "head_logits"}, "none": {"head_logits"}}


def network(head, pooling="avg"):
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3), name="image")
    x = L.Conv2D(6, 3, use_bias=False, name="first")(image)
    x = L.ReLU(name="relu")(L.BatchNormalization(name="bn")(x))
    x = L.Conv2D(8, 3, activation="relu", name="last")(x)
    return keras.Model(image, embedding_head(x, 5, num_classes=3, pooling=pooling, head=head))


def pixels(count=4):
    return np.random.default_rng(0).uniform(0, 255, (count, 8, 8, 3)).astype("float32")


@pytest.mark.parametrize("head", LENGTHS)
def test_a_head_has_its_layers_and_outputs(head):
    model = network(head)
    assert {layer.name for layer in model.layers if layer.weights and layer.name.startswith("head_")} == WEIGHTED[head]
    found = {name: tuple(output.shape[1:]) for name, output in model.output.items()}
    assert found == {"features": (8,), "embedding": (LENGTHS[head],), "logits": (3,)}
    outputs, features = model(pixels()), model.get_layer("last").output
    pooled = np.mean(keras.Model(model.input, features)(pixels()), axis=(1, 2))
    np.testing.assert_allclose(outputs["features"], pooled, rtol=1e-5)
    if head == "linear":
        np.testing.assert_allclose(outputs["embedding"], pooled @ model.get_layer("head_dense").kernel, rtol=1e-4)


@pytest.mark.parametrize("pooling", ["avg", "gem"])
def test_without_a_head_features_and_embedding_are_one_tensor_also_in_a_file(tmp_path, pooling):
    model = network("none", pooling)
    model.save(tmp_path / "model.keras")
    for one in (model, keras.saving.load_model(tmp_path / "model.keras")):
        assert one.output["features"] is one.output["embedding"]
        # Whoever removed one of these channels would shorten the embedding.
        assert set(sites(one)) == {"first"}


@pytest.mark.parametrize("head", ["neck", "linear"])
def test_channels_in_front_of_a_layer_can_leave(head):
    assert {"first", "last"} <= set(sites(network(head)))


@pytest.mark.parametrize("head", LENGTHS)
def test_a_head_goes_through_surgery_and_the_deployed_form(head):
    model = network(head)
    plan = plan_surgery(model, target_params=0.6)
    slim = rebuild(model, plan)
    assert count_params(slim) < 0.75 * count_params(model)
    outputs = slim(pixels())
    assert outputs["embedding"].shape == (4, LENGTHS[head])
    deployed = fuse(slim)
    assert not [layer for layer in deployed.layers if layer.name == "bn"]
    np.testing.assert_allclose(deployed(pixels())["embedding"], outputs["embedding"], rtol=1e-3, atol=1e-4)


def test_an_unknown_head_is_refused():
    with pytest.raises(ValueError, match="Argument `head` must be one of .* Received: head='large'"):
        network("large")
