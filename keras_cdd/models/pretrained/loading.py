"""Loads pretrained weights into a network. A new naming scheme is a file in this folder and a row in `SCHEMES`."""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from keras_cdd.errors import UserError
from keras_cdd.models.pretrained import (
    authors,
    efficientnet_lite,
    keras_applications,
    same_names,
    timm_efficientnet_lite,
    torchvision,
)
from keras_cdd.models.pretrained.reading import read_weights
from keras_cdd.models.pretrained.scheme import Scheme

__all__ = ["RESCALINGS", "SCHEMES", "load_pretrained", "read_weights", "source_style"]

# The first scheme whose mark matches a name is used.
SCHEMES: dict[str, Scheme] = {
    "authors": authors.SCHEME,
    "torchvision": torchvision.SCHEME,
    "keras": keras_applications.SCHEME,
    "efficientnet_lite": efficientnet_lite.SCHEME,
    "timm_efficientnet_lite": timm_efficientnet_lite.SCHEME,
}
RESCALINGS = {style: scheme.rescaling for style, scheme in SCHEMES.items()}
# Weights that may be missing in a source: those of the retrieval head, a classifier, indicators, and the Normalization
# in networks of keras.applications.
OPTIONAL = re.compile(r"head_|logits/|(.*/)?indicator/|normalization(_\d+)?/")


def load_pretrained(model: keras.Model, source: str | os.PathLike | dict[str, Any] | keras.Model) -> list[str]:
    """Loads pretrained weights into a network, in place.

    Every weight of the model's backbone must be in the source, and every backbone array of the source must have a place
    in the model; otherwise nothing is changed. Indicators that the source lacks are left unchanged.

    Args:
        model: a `gated_resnet`, an `efficientnet_lite`, or any model whose weights have the same paths as the source.
            For weights of keras.applications, `gated_resnet` needs `stride_on="conv1"`. The right `rescaling` is
            `RESCALINGS[source_style(...)]`.
        source: path of a .npz, .safetensors or .pth file with the names of torchvision, timm,
            the `efficientnet_lite` packages or the authors; path of a .keras or .h5 file; or a model or dict name ->
            array.

    Returns:
        List of the paths of the model's weights that the source lacks (of the head and the indicators).

    Raises:
        MissingFileError: if there is no such file.
        UserError: if the source cannot be read, has unknown names, or belongs to another network.
    """
    arrays = _plain_names(source if isinstance(source, dict) else read_weights(source))
    paths = [weight.path for weight in model.weights]
    steady = {name: arrays[old] for old, name in same_names.steady_names(arrays).items()}
    if steady.keys().isdisjoint(same_names.steady_names(paths).values()):
        scheme = SCHEMES[source_style(arrays)]
    else:
        scheme, arrays = same_names.SCHEME, steady
    keys = {path: key for path, key in scheme.keys(paths).items() if key in arrays}
    missing = [path for path in paths if path not in keys]
    _check_nothing_lacks(missing)
    _check_nothing_is_left(arrays.keys() - keys.values(), scheme)
    found = {path: scheme.convert(np.asarray(arrays[key]), path) for path, key in keys.items()}
    _check_shapes(model, found, keys)
    if scheme.finish is not None:
        scheme.finish(found, arrays)
    for weight in model.weights:
        if weight.path in found:
            weight.assign(found[weight.path])
    return missing


def source_style(arrays: Mapping[str, Any]) -> str:
    """Finds the naming scheme of weights by their names.

    Args:
        arrays: name -> array.

    Returns:
        A key of `SCHEMES` and `RESCALINGS`.

    Raises:
        UserError: if the names belong to no scheme.
    """
    names = _plain_names(arrays)
    for style, scheme in SCHEMES.items():
        if scheme.mark is not None and any(scheme.mark.match(name) for name in names):
            return style
    raise UserError(
        f"These are not the weights of a known network; known are the names of {', '.join(SCHEMES)}. "
        f"Received names such as {sorted(names)[:3]}"
    )


def _plain_names(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Removes the name prefixes that training wrappers add."""
    return {name.removeprefix("module.").removeprefix("base."): array for name, array in arrays.items()}


def _check_nothing_lacks(missing: Iterable[str]) -> None:
    lacking = [path for path in missing if not OPTIONAL.match(path)]
    if lacking:
        raise UserError(
            f"The weights lack {len(lacking)} of the backbone's, such as {lacking[0]}; do they have another depth?"
        )


def _check_nothing_is_left(names: Iterable[str], scheme: Scheme) -> None:
    left = sorted(name for name in names if not scheme.spare.match(name) and not name.endswith("num_batches_tracked"))
    if left:
        raise UserError(
            f"The network has no place for {len(left)} of the weights, such as {left[0]}; do they have another depth?"
        )


def _check_shapes(model: keras.Model, found: Mapping[str, np.ndarray], keys: Mapping[str, str]) -> None:
    for weight in model.weights:
        if weight.path in found and found[weight.path].shape != tuple(weight.shape):
            raise UserError(
                f"Weight {keys[weight.path]} has shape {found[weight.path].shape}, the network needs "
                f"{tuple(weight.shape)}; do the weights have another width, or indicators of another kind?"
            )
