"""Weights and the preprocessing that belongs to them, of a file."""

import dataclasses
import os
import pathlib

import keras
import numpy as np

from keras_cdd.errors import UserError
from keras_cdd.models.applications import APPLICATIONS, preprocessing_of
from keras_cdd.models.efficientnet_lite import EFFICIENTNET_LITES
from keras_cdd.models.gated_units import gated_blocks
from keras_cdd.models.pretrained.loading import RESCALINGS, source_style
from keras_cdd.models.pretrained.reading import KERAS_SUFFIXES, read_model, read_weights
from keras_cdd.models.rescaling import Rescaling


@dataclasses.dataclass(frozen=True)
class Weights:
    """Weights of a backbone, and the rescaling that they need.

    Attributes:
        arrays: name -> array, for `load_pretrained`.
        rescaling: (scale, offset) from RGB pixels 0..255 to the network's input, each a number or one per channel; None
            if the source does not say.
        stride_on: the argument `stride_on` that `gated_resnet` needs for these weights; None for its default and for
            other networks.
    """

    arrays: dict[str, np.ndarray]
    rescaling: Rescaling | None = None
    stride_on: str | None = None


def file_weights(path: str | os.PathLike[str], backbone: str) -> Weights:
    """Reads a file of weights for a backbone.

    Args:
        path: as for `read_weights`.
        backbone: a name in `ALL_BACKBONES`.

    Returns:
        `Weights`. The rescaling and strides are those of the model in a .keras or .h5 file, or those that belong to the
        names of the arrays; kernels of such a model from keras.applications that expect BGR are turned to RGB.

    Raises:
        MissingFileError: if there is no such file.
        UserError: if the file cannot be read.
    """
    if pathlib.Path(path).suffix in KERAS_SUFFIXES:
        return _model_weights(read_model(path), backbone)
    arrays = read_weights(path)
    return Weights(arrays) if backbone in APPLICATIONS else _styled(arrays)


def _model_weights(model: keras.Model, backbone: str) -> Weights:
    arrays, blocks = read_weights(model), gated_blocks(model)
    # Others, too, call layers "rescaling".
    names = {"pixels", "rescaling"} if blocks or backbone in EFFICIENTNET_LITES else {"pixels"}
    pixels = next((layer for layer in model.layers if layer.name in names), None)
    if isinstance(pixels, keras.layers.Rescaling):
        settings = pixels.get_config()
        strides = {block.stride_on for block in blocks}
        return Weights(arrays, (settings["scale"], settings["offset"]), strides.pop() if len(strides) == 1 else None)
    if backbone not in APPLICATIONS:
        return _styled(arrays)
    rescaling, swapped = preprocessing_of(backbone, model)
    return Weights(_from_bgr(arrays) if swapped else arrays, rescaling)


def _from_bgr(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same with RGB instead of BGR in kernels of three inputs."""
    return {name: a[:, :, ::-1] if a.ndim == 4 and a.shape[2] == 3 else a for name, a in arrays.items()}


def _styled(arrays: dict[str, np.ndarray]) -> Weights:
    try:
        style = source_style(arrays)
    except UserError:
        # They may have the paths of the network itself, which `load_pretrained` finds out.
        return Weights(arrays)
    # The authors' networks are trained on the preprocessing of the data set.
    rescaling = None if style == "authors" else RESCALINGS[style]
    return Weights(arrays, rescaling, "conv1" if style == "keras" else None)
