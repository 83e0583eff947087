"""Pretrained weights compute the same as in their original network."""

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

from keras_cdd.errors import MissingFileError, UserError
from keras_cdd.layers import GatedBlock
from keras_cdd.models import count_macs, gate_model, gated_resnet, load_pretrained
from keras_cdd.models.pretrained.loading import RESCALINGS, read_weights, source_style
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


class TorchvisionResNet:
    """torchvision's ResNet in NumPy, written down from its documentation: NCHW, OIHW kernels, the stride on the 3x3."""

    def __init__(self, depths, bottleneck, width):
        self.depths, self.bottleneck, self.width = depths, bottleneck, width
        self.rng, self.arrays = np.random.default_rng(0), {}
        self._conv_bn("conv1", "bn1", 3, width, 7)
        channels = width
        for stage, depth in enumerate(depths, start=1):
            inner = width * 2 ** (stage - 1)
            outer = inner * (4 if bottleneck else 1)
            for number in range(depth):
                name = f"layer{stage}.{number}."
                sizes = [(channels, inner, 1), (inner, inner, 3), (inner, outer, 1)]
                for index, size in enumerate(sizes if bottleneck else [(channels, inner, 3), (inner, inner, 3)], 1):
                    self._conv_bn(f"{name}conv{index}", f"{name}bn{index}", *size)
                if number == 0 and (stage > 1 or bottleneck):
                    self._conv_bn(f"{name}downsample.0", f"{name}downsample.1", channels, outer, 1)
                channels = outer
        self.arrays["fc.weight"] = np.zeros((10, channels), "float32")
        self.arrays["fc.bias"] = np.zeros(10, "float32")

    def _conv_bn(self, conv, bn, inputs, outputs, size):
        kernel = self.rng.normal(size=(outputs, inputs, size, size)) / np.sqrt(inputs * size * size)
        self.arrays[f"{conv}.weight"] = kernel.astype("float32")
        for name in ("weight", "bias", "running_mean", "running_var"):
            low, high = (0.5, 1.5) if name in ("weight", "running_var") else (-0.2, 0.2)
            self.arrays[f"{bn}.{name}"] = self.rng.uniform(low, high, outputs).astype("float32")
        self.arrays[f"{bn}.num_batches_tracked"] = np.array(7)

    def features(self, pixels):
        mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
        x = ((pixels / 255 - mean) / deviation).transpose(0, 3, 1, 2)
        x = np.maximum(self._run(x, "conv1", "bn1", 2, 3), 0)
        padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-np.inf)
        x = self._windows(padded, 3, 2).max(axis=(-2, -1))
        for stage, depth in enumerate(self.depths, start=1):
            for number in range(depth):
                x = self._block(x, f"layer{stage}.{number}.", 2 if number == 0 and stage > 1 else 1)
        return x.mean(axis=(2, 3))

    def _block(self, x, name, stride):
        # (stride, padding) of each convolution.
        plan = [(1, 0), (stride, 1), (1, 0)] if self.bottleneck else [(stride, 1), (1, 1)]
        y = x
        for index, (step, padding) in enumerate(plan, start=1):
            y = self._run(y, f"{name}conv{index}", f"{name}bn{index}", step, padding)
            y = np.maximum(y, 0) if index < len(plan) else y
        if f"{name}downsample.0.weight" in self.arrays:
            x = self._run(x, f"{name}downsample.0", f"{name}downsample.1", stride, 0)
        return np.maximum(x + y, 0)

    def _run(self, x, conv, bn, stride, padding):
        kernel = self.arrays[f"{conv}.weight"]
        x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
        y = np.einsum("nchwij,ocij->nohw", self._windows(x, kernel.shape[-1], stride), kernel, optimize=True)
        weight, bias, mean, variance = (
            self.arrays[f"{bn}.{name}"][:, None, None] for name in ("weight", "bias", "running_mean", "running_var")
        )
        return (y - mean) / np.sqrt(variance + 1e-5) * weight + bias

    @staticmethod
    def _windows(x, size, stride):
        return np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]


@pytest.mark.parametrize(
    ("backbone", "depths", "bottleneck", "suffix"),
    [("resnet18", (2, 2, 2, 2), False, "npz"), ("resnet50", (3, 4, 6, 3), True, "safetensors")],
)
def test_torchvision_weights(tmp_path, backbone, depths, bottleneck, suffix):
    source = TorchvisionResNet(depths, bottleneck, width=4)
    assert source_style(source.arrays) == "torchvision"
    path = tmp_path / f"weights.{suffix}"
    np.savez(path, **source.arrays) if suffix == "npz" else save_file(source.arrays, path)
    target = gated_resnet(
        backbone,
        width=4,
        image_size=(64, 64),
        last_stride=2,
        rescaling=RESCALINGS["torchvision"],
        indicators="both" if bottleneck else "none",
    )
    missing = load_pretrained(target, path)
    assert all("indicator" in path or path.startswith("head_") for path in missing)
    expected = source.features(pixels(size=64))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(target(pixels(size=64))["features"] / scale, expected / scale, atol=1e-4)


def test_weights_of_a_deeper_network_are_refused_and_change_nothing():
    deeper = TorchvisionResNet((3, 4, 6, 3), False, width=4)
    model = gated_resnet("resnet18", width=4, image_size=(32, 32))
    before = [weight.numpy() for weight in model.weights]
    with pytest.raises(UserError, match=r"no place for .* such as layer1\.2\.bn1\.bias"):
        load_pretrained(model, deeper.arrays)
    for weight, array in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, array)


def test_weights_of_the_same_network_keep_their_names(tmp_path):
    source = randomise(gated_resnet("resnet18", width=4, image_size=(32, 32), num_classes=3, indicators="both"))
    source.save(tmp_path / "teacher.keras")
    target = gated_resnet("resnet18", width=4, image_size=(32, 32), indicators="both")
    assert load_pretrained(target, tmp_path / "teacher.keras") == []
    np.testing.assert_allclose(target(pixels())["features"], source(pixels())["features"], rtol=1e-6)
    plain = gated_resnet("resnet18", width=4, image_size=(32, 32), indicators="none")
    with pytest.raises(UserError, match="no place for .*indicator"):
        load_pretrained(plain, source)


def test_pickled_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "weights.npz", weight=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError, match="cannot be read .*allow_pickle"):
        read_weights(tmp_path / "weights.npz")


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
    with pytest.raises(MissingFileError, match="no weights file"):
        load_pretrained(model, tmp_path / "none.npz")
    (tmp_path / "broken.npz").write_bytes(b"PK not a zip")
    with pytest.raises(UserError, match="cannot be read"):
        load_pretrained(model, tmp_path / "broken.npz")
    np.savez(tmp_path / "other.npz", **{"layer1.0.conv1.weight": np.zeros((4, 4, 3, 3), "float32")})
    with pytest.raises(UserError, match="lack"):
        load_pretrained(model, tmp_path / "other.npz")
    (tmp_path / "weights.onnx").write_bytes(b"")
    with pytest.raises(UserError, match="Weights come as .npz, .safetensors"):
        load_pretrained(model, tmp_path / "weights.onnx")
    with pytest.raises(UserError, match="not the weights of a known network"):
        load_pretrained(model, {"encoder.weight": np.zeros(3)})
    narrow = TorchvisionResNet((2, 2, 2, 2), False, width=2)
    with pytest.raises(UserError, match=r"Weight .* has shape .* another width"):
        load_pretrained(model, narrow.arrays)
