"""EfficientNet-Lite is the published network and takes its published weights."""

import math

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from keras_cdd.errors import UserError
from keras_cdd.models import count_macs, load_pretrained
from keras_cdd.models.efficientnet_lite import efficientnet_lite
from keras_cdd.models.pretrained.loading import RESCALINGS, source_style

DEPTHS = (1, 2, 2, 3, 3, 4, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "size", "millions", "madds"),
    # https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite: image size, parameters in
    # millions (to the second digit as timm's results table has them), multiply-adds in millions.
    [
        ("efficientnet_lite0", 224, 4.65, 407),
        ("efficientnet_lite1", 240, 5.42, 631),
        ("efficientnet_lite2", 260, 6.09, 899),
        ("efficientnet_lite3", 280, 8.20, 1440),
        ("efficientnet_lite4", 300, 13.01, 2640),
    ],
)
def test_published_sizes(backbone, size, millions, madds):
    model = efficientnet_lite(backbone, num_classes=1000)
    assert model.input_shape == (None, size, size, 3)
    params = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    assert round(params / 1e6, 2) == millions
    # The published number is a profiler's, which counts BatchNorms and activations too: 3 to 6 % more.
    macs = count_macs(model, classifier=True) / 1e6
    assert 0.94 * madds < macs < 0.97 * madds


def test_block_structure():
    """The table of EfficientNet-B0 (arXiv:1905.11946), which Lite0 shares; spelled out block by block."""
    model = efficientnet_lite()
    expected = [
        # kernel, stride, channels filtered, channels out
        (3, 1, 32, 16),
        (3, 2, 96, 24),
        (3, 1, 144, 24),
        (5, 2, 144, 40),
        (5, 1, 240, 40),
        (3, 2, 240, 80),
        (3, 1, 480, 80),
        (3, 1, 480, 80),
        (5, 1, 480, 112),
        (5, 1, 672, 112),
        (5, 1, 672, 112),
        (5, 2, 672, 192),
        (5, 1, 1152, 192),
        (5, 1, 1152, 192),
        (5, 1, 1152, 192),
        (3, 1, 1152, 320),
    ]
    blocks = [layer.name.removesuffix("_depthwise_conv") for layer in model.layers if "depthwise_conv" in layer.name]
    found = []
    for block in blocks:
        depthwise, project = model.get_layer(f"{block}_depthwise_conv"), model.get_layer(f"{block}_project_conv")
        found.append((depthwise.kernel_size[0], depthwise.strides[0], depthwise.output.shape[-1], project.filters))
    assert found == expected
    additions = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Add)]
    inner = [(2, 2), (3, 2), (4, 2), (4, 3), (5, 2), (5, 3), (6, 2), (6, 3), (6, 4)]
    assert additions == [f"stage{stage}_block{block}_add" for stage, block in inner]
    assert {layer.max_value for layer in model.layers if isinstance(layer, keras.layers.ReLU)} == {6.0}
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 2 + 16 * 3 - 1 and {norm.epsilon for norm in norms} == {1e-3}
    assert {name: tensor.shape for name, tensor in model.output.items()} == {
        "feature_map": (None, 7, 7, 1280),
        "features": (None, 1280),
    }


def test_depth_grows_between_the_first_and_the_last_stage():
    model = efficientnet_lite("efficientnet_lite4", image_size=(32, 32), width_multiplier=0.1)
    stages = [layer.name.split("_")[0] for layer in model.layers if layer.name.endswith("_project_conv")]
    assert [stages.count(f"stage{number}") for number in range(1, 8)] == [1, 4, 4, 6, 6, 8, 1]


def tiny(**options):
    return efficientnet_lite(image_size=(32, 32), num_classes=5, width_multiplier=0.125, **options)


def randomised(model):
    rng = np.random.default_rng(0)
    for weight in model.weights:
        positive = "gamma" in weight.path or "variance" in weight.path
        weight.assign(rng.uniform(0.5, 1.5, weight.shape) if positive else weight + rng.normal(0, 0.1, weight.shape))
    return model


def package_names():
    """(convolution, BatchNorm) in the order of the forward pass."""
    yield "_conv_stem", "_bn0"
    for number in range(sum(DEPTHS)):
        block = f"_blocks.{number}."
        if number:
            yield f"{block}_expand_conv", f"{block}_bn0"
        yield f"{block}_depthwise_conv", f"{block}_bn1"
        yield f"{block}_project_conv", f"{block}_bn2"
    yield "_conv_head", "_bn1"


def timm_names():
    yield "conv_stem", "bn1"
    for stage, depth in enumerate(DEPTHS):
        for number in range(depth):
            block = f"blocks.{stage}.{number}."
            convs = ("conv_pw", "conv_dw", "conv_pwl") if stage else ("conv_dw", "conv_pw")
            for index, conv in enumerate(convs, start=1):
                yield f"{block}{conv}", f"{block}bn{index}"
    yield "conv_head", "bn2"


def torch_arrays(model, names, classifier):
    """The weights of a model under PyTorch's names: its layers in the order of the forward pass, kernels OIHW."""
    layers = [layer for layer in model.layers if layer.weights]
    arrays = {}
    for (conv_name, bn_name), conv, bn in zip(names, layers[:-1:2], layers[1:-1:2], strict=True):
        kernel = conv.get_weights()[0]
        depthwise = isinstance(conv, keras.layers.DepthwiseConv2D)
        arrays[f"{conv_name}.weight"] = np.moveaxis(kernel, (2, 3), (0, 1) if depthwise else (1, 0))
        parts = zip(("weight", "bias", "running_mean", "running_var"), bn.get_weights(), strict=True)
        arrays |= {f"{bn_name}.{part}": array for part, array in parts}
        arrays[f"{bn_name}.num_batches_tracked"] = np.array(1)
    kernel, bias = layers[-1].get_weights()
    arrays |= {f"{classifier}.weight": kernel.T, f"{classifier}.bias": bias}
    # safetensors writes arrays in memory order.
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


@pytest.mark.parametrize(
    ("style", "names", "classifier", "suffix"),
    [
        ("efficientnet_lite", package_names, "_fc", "safetensors"),
        ("timm_efficientnet_lite", timm_names, "classifier", "npz"),
    ],
)
def test_package_and_timm_names(tmp_path, style, names, classifier, suffix):
    source = randomised(tiny())
    arrays = torch_arrays(source, names(), classifier)
    assert source_style(arrays) == style and RESCALINGS[style] == (1 / 128, -127 / 128)
    path = tmp_path / f"weights.{suffix}"
    np.savez(path, **arrays) if suffix == "npz" else save_file(arrays, path)
    target = tiny()
    assert load_pretrained(target, path) == []
    for ours, theirs in zip(target.weights, source.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # Without a classifier, that of the file is ignored.
    backbone = efficientnet_lite(image_size=(32, 32), width_multiplier=0.125)
    assert load_pretrained(backbone, path) == []
    del arrays[f"{classifier}.weight"], arrays[f"{classifier}.bias"]
    assert load_pretrained(target, arrays) == ["logits/kernel", "logits/bias"]


def test_weights_of_another_depth_are_refused():
    arrays = torch_arrays(tiny(), package_names(), "_fc")
    deeper = efficientnet_lite("efficientnet_lite3", image_size=(32, 32), width_multiplier=0.1)
    with pytest.raises(UserError, match="lack"):
        load_pretrained(deeper, arrays)


def test_an_unknown_network_is_refused():
    with pytest.raises(ValueError, match=r"`backbone` must be one of .*Received: backbone='efficientnet_b0'"):
        efficientnet_lite("efficientnet_b0")


def in_rows(arrays):
    """Reorders arrays to match their shapes.

    The shared file was written from PyTorch's tensors without a copy. They are views of TensorFlow's layouts (HWIO
    kernels, (in, out) matrices), and safetensors writes arrays in memory order, so that they have PyTorch's shapes
    and TensorFlow's order. The first row of the first kernel shows which order the file has.
    """
    if np.allclose(arrays["_conv_stem.weight"][0, 0, 0], [-1.1103361, -1.3087704, -0.0101569]):
        return arrays
    relaid = {}
    for name, array in arrays.items():
        axes = {4: (2, 3, 1, 0), 2: (1, 0)}.get(array.ndim, range(array.ndim))
        memory = array.reshape([array.shape[axis] for axis in axes])
        relaid[name] = memory.transpose(np.argsort(axes))
    return relaid


@pytest.mark.slow
def test_published_weights(shared_dir):
    """Three photos through the package's own network: pooled features, logits and classes."""
    folder = shared_dir / "data" / "efficientnet_lite0"
    if not folder.is_dir():
        pytest.skip("the shared EfficientNet-Lite0 weights are absent")
    model = efficientnet_lite(num_classes=1000)
    assert load_pretrained(model, in_rows(load_file(folder / "imagenet.safetensors"))) == []
    with np.load(folder / "check.npz") as check:
        found = model.predict(check["images"].astype("float32"), verbose=0)
        np.testing.assert_allclose(found["features"], check["features"], atol=1e-4)
        np.testing.assert_allclose(found["logits"], check["logits"], atol=1e-4)
    # Tennis ball, packet, Granny Smith.
    assert found["logits"].argmax(axis=1).tolist() == [852, 692, 948]
