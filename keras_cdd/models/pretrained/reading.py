"""Reads files of weights as dicts of arrays, without executing code from a file."""

import importlib.util
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from keras_cdd.errors import MissingFileError, UserError
from keras_cdd.models.pretrained.torch_file import read_torch_file

# Files of whole models.
KERAS_SUFFIXES = (".keras", ".h5")


def read_weights(source: str | os.PathLike | keras.Model) -> dict[str, np.ndarray]:
    """Reads the weights of a file or of a Keras model.

    Args:
        source: path of a .npz, .safetensors, .pth, .pt, .keras or .h5 file, or a model.

    Returns:
        Dict name -> NumPy array.

    Raises:
        MissingFileError: if there is no such file.
        UserError: if the file has another suffix or cannot be read, or if safetensors is not installed.
    """
    if isinstance(source, keras.Model):
        return {weight.path: keras.ops.convert_to_numpy(weight) for weight in source.weights}
    return _read(pathlib.Path(source), _READERS)


def read_model(path: str | os.PathLike) -> keras.Model:
    """Reads the model in a .keras or .h5 file; raises as `read_weights` does."""
    return _read(pathlib.Path(path), dict.fromkeys(KERAS_SUFFIXES, _load))


def _read(path: pathlib.Path, readers: Mapping[str, Callable[[pathlib.Path], Any]]) -> Any:
    if not path.is_file():
        raise MissingFileError(f"There is no weights file {path}; check --pretrained.")
    if path.suffix not in readers:
        raise UserError(f"Weights come as {', '.join(readers)}. Received: {path.name}")
    package = _NEEDED.get(path.suffix)
    if package and importlib.util.find_spec(package) is None:
        raise UserError(f"Reading {path} needs {package}; install it, or convert the file to .npz elsewhere.")
    try:
        return readers[path.suffix](path)
    except ImportError:
        # A broken installation is no fault of the file.
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"Weights file {path} cannot be read ({reason}); fetch it again.") from error


def _read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(path)


def _read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _read_keras(path: pathlib.Path) -> dict[str, np.ndarray]:
    return read_weights(_load(path))


def _load(path: pathlib.Path) -> keras.Model:
    return keras.saving.load_model(path, compile=False)


_NEEDED = {".safetensors": "safetensors"}
_READERS = {
    ".npz": _read_npz,
    ".safetensors": _read_safetensors,
    ".pth": read_torch_file,
    ".pt": read_torch_file,
    **dict.fromkeys(KERAS_SUFFIXES, _read_keras),
}
