"""Weights from elsewhere compute what they computed there."""

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

from keras_cdd.layers import GatedBlock
from keras_cdd.models import count_macs, gate_model, gated_resnet, load_pretrained
from keras_cdd.models.pretrained.loading import RESCALINGS, _torchvision_key, source_style
from keras_cdd.surgery import fuse, plan_surgery, rebuild, silence


def randomise(model, seed=0):
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "variance" in weight.path or "gamma" in weight.path:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif "seed" not in weight.path and "indicator" not in weight.path:
            weight.assign(weight + 0.1 * rng.normal(size=weight.shape))
    return model


def pixels(count=2, size=32):
    return np.random.default_rng(1).uniform(0, 255, (count, size, size, 3)).astype("float32")


@pytest.mark.slow
def test_golden_teacher_embeddings(golden):
    weights, check = golden("omniglot_300_teacher_weights.npz"), golden("omniglot_300_teacher_check.npz")
    classes, size = weights["classifier.classifier.weight"].shape
    teacher = gated_resnet(
        "resnet50", width=16, image_size=(64, 64), num_classes=classes, embedding_size=size, indicators="none"
    )
    assert load_pretrained(teacher, weights) == []
    ink = np.repeat(check["images"][..., None], 3, axis=-1).astype("float32")
    ours, theirs = teacher.predict(ink, verbose=0)["embedding"], check["embeddings"].astype("float32")
    cosine = np.sum(ours * theirs, axis=1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    assert cosine.min() >= 0.9999


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
def test_torchvision_names(tmp_path, backbone):
    """A file under torchvision's names and layouts gives the network it was written from."""
    source = randomise(gated_resnet(backbone, width=4, image_size=(32, 32), indicators="none"))
    arrays = {"fc.weight": np.zeros((10, 3), "float32")}
    for weight in source.weights:
        if (key := _torchvision_key(weight.path)) is not None:
            array = weight.numpy()
            arrays[key] = np.ascontiguousarray(array.transpose(3, 2, 0, 1) if array.ndim == 4 else array)
    # Spot checks of the names themselves.
    assert arrays["conv1.weight"].shape == (4, 3, 7, 7)
    assert {"layer1.0.bn1.running_var", "layer2.0.downsample.0.weight", "layer4.1.conv2.weight"} <= arrays.keys()
    assert source_style(arrays) == "torchvision"
    save_file(arrays, tmp_path / "weights.safetensors")
    target = gated_resnet(backbone, width=4, image_size=(32, 32), indicators="both")
    missing = load_pretrained(target, tmp_path / "weights.safetensors")
    assert all("indicator" in path or path.startswith("head_") for path in missing)
    np.testing.assert_allclose(target(pixels())["features"], source(pixels())["features"], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_keras_applications_weights():
    plain = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(64, 64, 3), pooling="avg")
    source = randomise(plain)
    ours = gated_resnet(
        image_size=(64, 64), last_stride=2, stride_on="conv1", rescaling=RESCALINGS["keras"], indicators="both"
    )
    load_pretrained(ours, source)
    x = pixels(size=64)
    expected = source(keras.applications.resnet.preprocess_input(x.copy()))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(ours(x)["features"] / scale, expected / scale, atol=1e-4)


@pytest.mark.slow
def test_gating_a_keras_application_changes_nothing_and_surgery_works_on_it():
    source = randomise(keras.applications.ResNet50(weights=None, input_shape=(64, 64, 3), classes=10))
    gated = gate_model(source, "both")
    x = pixels(size=64) - 127
    np.testing.assert_allclose(gated(x), source(x), atol=1e-5)
    assert sum(isinstance(layer, GatedBlock) for layer in gated.layers) == 16
    silence(gated, plan_surgery(gated, target_macs=0.4))
    slim = rebuild(gated, plan_surgery(gated))
    deploy = fuse(slim)
    np.testing.assert_allclose(slim(x), gated(x), atol=1e-5)
    np.testing.assert_allclose(deploy(x), slim(x), atol=1e-5)
    assert 0.39 < count_macs(deploy) / count_macs(source) <= 0.4


@pytest.mark.parametrize("options", [{"scale": False}, {"center": False}, {"scale": False, "center": False}])
def test_batch_norm_without_scale_or_center_is_gated_and_fused(options):
    layers = keras.layers
    image = keras.Input((8, 8, 3))
    x = layers.ReLU()(layers.BatchNormalization(**options)(layers.Conv2D(6, 3, padding="same")(image)))
    y = layers.ReLU()(layers.BatchNormalization(**options)(layers.Conv2D(6, 3, padding="same")(x)))
    y = layers.BatchNormalization(**options)(layers.Conv2D(6, 3, padding="same")(y))
    source = randomise(keras.Model(image, layers.ReLU()(layers.Add()([y, x]))))
    gated = gate_model(source, "both")
    x = pixels(size=8) / 255
    for model in (gated, fuse(gated), fuse(source)):
        np.testing.assert_allclose(model(x), source(x), atol=1e-5)
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in fuse(source).layers)


def test_a_network_without_residual_blocks_is_refused():
    image = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match="residual blocks"):
        gate_model(keras.Model(image, keras.layers.Conv2D(2, 3)(image)))


def test_wrong_weights_are_refused(tmp_path):
    model = gated_resnet("resnet18", width=4, image_size=(32, 32))
    with pytest.raises(FileNotFoundError, match="no weights file"):
        load_pretrained(model, tmp_path / "none.npz")
    (tmp_path / "broken.npz").write_bytes(b"PK not a zip")
    with pytest.raises(ValueError, match="cannot be read"):
        load_pretrained(model, tmp_path / "broken.npz")
    np.savez(tmp_path / "other.npz", **{"layer1.0.conv1.weight": np.zeros((4, 4, 3, 3), "float32")})
    with pytest.raises(ValueError, match="lack"):
        load_pretrained(model, tmp_path / "other.npz")
