"""Weights from elsewhere: torchvision and timm, the authors' checkpoints, keras.applications."""

import importlib.util
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_cdd.errors import MissingFileError, UserError

BN_NAMES = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
HEAD_NAMES = {
    "head_bn1": "classifier.add_block.0",
    "head_dense": "classifier.add_block.2",
    "head_bn2": "classifier.add_block.3",
    "head_logits": "classifier.classifier",
}
RESCALINGS = {
    "authors": (1 / 127.5, -1.0),
    "torchvision": (
        [1 / (255 * std) for std in (0.229, 0.224, 0.225)],
        [-mean / std for mean, std in zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)],
    ),
    "keras": (1.0, [-123.68, -116.779, -103.939]),
}


def load_pretrained(model: keras.Model, source: str | os.PathLike | dict[str, Any] | keras.Model) -> list[str]:
    """Fills a `gated_resnet` with weights from elsewhere; indicators stay the identity.

    Args:
        model: from `gated_resnet`. For keras.applications weights it needs `stride_on="conv1"`; the `rescaling` that
            goes with a source is `RESCALINGS[source_style(...)]`.
        source: a .npz, .safetensors or (with torch installed) .pth file under the names of torchvision, timm or the
            authors, a .keras or .h5 file of a keras.applications ResNet, or such a model or dict of arrays itself.

    Returns:
        Paths of the model's weights that the source does not have (the head, the indicators).

    Raises:
        FileNotFoundError, ValueError: if the file is missing or unreadable, or lacks weights of the backbone.
    """
    arrays = source if isinstance(source, dict) else read_weights(source)
    style = source_style(arrays)
    key_of = {"authors": _authors_key, "torchvision": _torchvision_key, "keras": _keras_key}[style]
    arrays = {name.removeprefix("module.").removeprefix("base."): value for name, value in arrays.items()}
    found, missing = {}, []
    for weight in model.weights:
        key = key_of(weight.path)
        if key is None or key not in arrays:
            missing.append(weight.path)
            continue
        array = _converted(np.asarray(arrays[key]), weight, style)
        if array.shape != tuple(weight.shape):
            raise UserError(f"Weight {key} has shape {array.shape}, the network wants {tuple(weight.shape)}.")
        found[weight.path] = array
    backbone = [path for path in missing if path.startswith("st") and "/indicator/" not in path]
    if backbone:
        raise UserError(
            f"The weights lack {len(backbone)} of the backbone's, such as {backbone[0]}; is it another depth?"
        )
    if style == "keras":
        _absorb_biases(model, arrays, found)
    for weight in model.weights:
        if weight.path in found:
            weight.assign(found[weight.path])
    return missing


def read_weights(source: str | os.PathLike | keras.Model) -> dict[str, np.ndarray]:
    """Name -> array of a file, or of a Keras model."""
    if isinstance(source, keras.Model):
        return {weight.path: keras.ops.convert_to_numpy(weight) for weight in source.weights}
    path = pathlib.Path(source)
    if not path.is_file():
        raise MissingFileError(f"There is no weights file {path}; check --pretrained.")
    try:
        return _READERS[path.suffix](path)
    except KeyError:
        raise UserError(f"Weights come as {', '.join(_READERS)}. Received: {path.name}") from None
    except (ImportError, UserError):
        raise
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"Weights file {path} cannot be read ({reason}); fetch it again.") from None


def source_style(arrays: Mapping[str, Any]) -> str:
    """ "authors", "torchvision" or "keras", told by the names."""
    names = [name.removeprefix("module.").removeprefix("base.") for name in arrays]
    if any(name.startswith("stage0.") for name in names):
        return "authors"
    if any(name.startswith("layer1.0.") for name in names):
        return "torchvision"
    if any(name.startswith("conv2_block1_") for name in names):
        return "keras"
    raise UserError(f"These are not the weights of a known ResNet. Received names such as {names[:3]}")


def _read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    if importlib.util.find_spec("safetensors") is None:
        raise UserError(f"Reading {path.name} needs safetensors; install it, or convert the file to .npz.")
    from safetensors.numpy import load_file

    return load_file(path)


def _read_torch(path: pathlib.Path) -> dict[str, np.ndarray]:
    if importlib.util.find_spec("torch") is None:
        raise UserError(f"Reading {path.name} needs torch; install it, or convert the file to .npz.")
    import torch

    state = torch.load(path, map_location="cpu", weights_only=True)
    state = state.get("state_dict", state.get("model", state))
    return {name: value.numpy() for name, value in state.items() if hasattr(value, "numpy")}


def _read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


def _read_keras(path: pathlib.Path) -> dict[str, np.ndarray]:
    return read_weights(keras.saving.load_model(path, compile=False))


_READERS = {
    ".npz": _read_npz,
    ".safetensors": _read_safetensors,
    ".pth": _read_torch,
    ".pt": _read_torch,
    ".keras": _read_keras,
    ".h5": _read_keras,
}


def _place(path: str) -> tuple | None:
    """(stage, block, unit, layer, weight) of a weight of ours, counted from 1, or None outside the blocks."""
    found = re.fullmatch(r"stage(\d)_block(\d+)/(conv\d|shortcut)/(conv|bn|indicator)/(\w+)", path)
    return found and (int(found[1]), int(found[2]), *found.groups()[2:])


def _authors_key(path: str) -> str | None:
    layer, name = path.rsplit("/", 1)
    torch_name = BN_NAMES.get(name, "weight")
    if (place := _place(path)) is not None:
        stage, block, unit, part, _ = place
        if part == "indicator":
            return f"stage{stage}.{block - 1}.compactor.weight" if unit == "conv2" else None
        return f"stage{stage}.{block - 1}.{unit}.{part}.{torch_name}"
    if layer.startswith("stem_"):
        return f"stage0.conv1.{layer.removeprefix('stem_')}.{torch_name}"
    return f"{HEAD_NAMES[layer]}.{torch_name}" if layer in HEAD_NAMES else None


def _torchvision_key(path: str) -> str | None:
    layer, name = path.rsplit("/", 1)
    torch_name = BN_NAMES.get(name, "weight")
    if (place := _place(path)) is not None:
        stage, block, unit, part, _ = place
        if part == "indicator":
            return None
        inner = {"conv": unit, "bn": unit.replace("conv", "bn")}[part]
        if unit == "shortcut":
            inner = {"conv": "downsample.0", "bn": "downsample.1"}[part]
        return f"layer{stage}.{block - 1}.{inner}.{torch_name}"
    return {"stem_conv": "conv1.weight", "stem_bn": f"bn1.{torch_name}"}.get(layer)


def _keras_key(path: str) -> str | None:
    layer, name = path.rsplit("/", 1)
    if (place := _place(path)) is not None:
        stage, block, unit, part, _ = place
        number = 0 if unit == "shortcut" else int(unit[-1])
        return None if part == "indicator" else f"conv{stage + 1}_block{block}_{number}_{part}/{name}"
    return {"stem_conv": f"conv1_conv/{name}", "stem_bn": f"conv1_bn/{name}"}.get(layer)


def _converted(array: np.ndarray, weight: keras.Variable, style: str) -> np.ndarray:
    if style != "keras":
        # torch: OIHW and (out, in).
        return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T if array.ndim == 2 else array
    # keras.applications takes BGR; ours is RGB.
    return array[:, :, ::-1] if weight.path == "stem_conv/kernel" else array


def _absorb_biases(model: keras.Model, arrays: Mapping[str, Any], found: dict[str, np.ndarray]) -> None:
    """BN(conv + bias) equals BN(conv) with the mean shifted; the two BatchNorms' epsilons go into the variance."""
    for path in [path for path in found if path.endswith("moving_mean")]:
        key = _keras_key(path) or ""
        bias = arrays.get(key.replace("_bn/moving_mean", "_conv/bias"))
        if bias is not None:
            found[path] = found[path] - bias
        variance = path.replace("moving_mean", "moving_variance")
        found[variance] = found[variance] + (1.001e-5 - 1e-5)
