"""ResNets of keras.applications: BGR images, the stride on the first convolution, convolutions with biases."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from keras_cdd.models.pretrained.resnet_place import ResNetPlace
from keras_cdd.models.pretrained.scheme import Scheme

# Epsilons of the BatchNorms in keras.applications and in `gated_resnet`.
THEIR_EPSILON, OUR_EPSILON = 1.001e-5, 1e-5


def keras_keys(paths: Iterable[str]) -> dict[str, str]:
    return {path: key for path in paths if (key := _key(path)) is not None}


def _key(path: str) -> str | None:
    layer, variable = path.rsplit("/", 1)
    if layer in ("stem_conv", "stem_bn"):
        return f"conv1_{layer.removeprefix('stem_')}/{variable}"
    if (place := ResNetPlace.of(path)) is None:
        return None
    number = 0 if place.unit == "shortcut" else int(place.unit[-1])
    return f"conv{place.stage + 1}_block{place.block}_{number}_{place.part}/{variable}"


def _convert(array: np.ndarray, path: str) -> np.ndarray:
    # keras.applications takes BGR images, our networks RGB.
    return array[:, :, ::-1] if path == "stem_conv/kernel" else array


def _absorb_biases(found: dict[str, np.ndarray], arrays: Mapping[str, Any]) -> None:
    """Shifts BatchNorm means by the biases of the convolutions, and adds the difference of epsilons to variances."""
    for path, key in keras_keys([path for path in found if path.endswith("moving_mean")]).items():
        bias = arrays.get(key.replace("_bn/moving_mean", "_conv/bias"))
        if bias is not None:
            found[path] = found[path] - bias
        variance = path.replace("moving_mean", "moving_variance")
        found[variance] = found[variance] + (THEIR_EPSILON - OUR_EPSILON)


SCHEME = Scheme(
    mark=re.compile(r"conv2_block1_"),
    keys=keras_keys,
    convert=_convert,
    spare=re.compile(r"predictions/|\w+_conv/bias"),
    rescaling=(1.0, [-123.68, -116.779, -103.939]),
    finish=_absorb_biases,
)
