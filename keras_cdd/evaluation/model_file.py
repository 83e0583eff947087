"""Loads a model file as a function of images; imports Keras for `.keras` files only."""

import hashlib
import json
import pathlib
import subprocess
import sys
import zipfile

from keras_cdd.errors import MissingFileError, UserError
from keras_cdd.evaluation import tflite_embedder
from keras_cdd.evaluation.tflite_embedder import TFLiteEmbedder
from keras_cdd.quiet_start import quiet_start

SECONDS_TO_TRY = 120


def load_embedder(path, sha256=None):
    """Loads a `.keras` or `.tflite` file as an embedder.

    A flipped bit in the weights of a `.tflite` file shows only in its SHA-256, and one in its structure may crash or
    hang the process that loads it. Therefore the file must have the SHA-256 that is recorded for it; a file without a
    record is first tried in a separate process.

    Args:
        path: path of the file.
        sha256: hex digest that a `.tflite` file must have. Default: the one in the report of its export (`m.json`
            beside `m.tflite`), if there is a report.

    Returns:
        `KerasEmbedder` or `TFLiteEmbedder`: a function from images (N, height, width, 3) in 0..255 to embeddings
        (N, D) float32, with the attribute `image_size`, (height, width).

    Raises:
        MissingFileError: if the file does not exist.
        UserError: if the file is not a model, is damaged or does not embed images, or if no interpreter is installed.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise MissingFileError(f"There is no model {path}; check the path.")
    if path.suffix not in (".keras", ".tflite"):
        raise UserError(f"Model {path} must be a .keras or .tflite file.")
    if path.suffix == ".tflite" and not tflite_embedder.installed_runtimes():
        raise UserError(tflite_embedder.NO_RUNTIME)
    try:
        return _load_tflite(path, sha256) if path.suffix == ".tflite" else _load_keras(path)
    except ImportError:
        # A broken installation is no fault of the file.
        raise
    except Exception as error:
        # A damaged file can fail in many places: zipfile, json, h5py, a layer, the interpreter.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"Model {path} cannot be used: {reason[:300]}; export or train it again.") from error


def _load_keras(path):
    import keras

    from keras_cdd.evaluation.keras_embedder import KerasEmbedder

    if not zipfile.is_zipfile(path):
        # Keras would report that the file does not exist.
        raise ValueError("it is no complete .keras archive")
    with quiet_start():
        # TensorFlow tells of its devices when it first looks for them.
        return KerasEmbedder(keras.saving.load_model(path, compile=False))


def _load_tflite(path, sha256):
    known = sha256 or _recorded_sha256(path.with_suffix(".json"))
    if not known:
        _try_apart(path)
    elif known != hashlib.sha256(path.read_bytes()).hexdigest():
        raise ValueError("its SHA-256 is not the recorded one, so the file is damaged or another")
    with quiet_start():
        embedder = TFLiteEmbedder(path)
        # The interpreter tells of its kernels when it first makes room for tensors.
        embedder.prepare()
    return embedder


def _try_apart(path):
    """Raises ValueError if running the file in a separate process fails, crashes or hangs."""
    # -P: the script's folder must not be searched for modules; its files are imported as parts of the package.
    command = [sys.executable, "-P", tflite_embedder.__file__, str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=SECONDS_TO_TRY)
    except subprocess.TimeoutExpired:
        raise ValueError(f"it gives no embedding within {SECONDS_TO_TRY} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() if done.returncode == 1 else []
        raise ValueError(lines[-1] if lines else "it crashes the interpreter")


def _recorded_sha256(report):
    """The SHA-256 in the report beside a model; None if there is no report or no SHA-256 in it."""
    try:
        recorded = json.loads(report.read_text())
    except (OSError, ValueError):
        return None
    return recorded.get("sha256") if isinstance(recorded, dict) else None
