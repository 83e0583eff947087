"""Whether Keras and TensorFlow are here, told without loading them."""

import importlib.util
import json
import os
import pathlib
import sys


def has_keras() -> bool:
    """Whether `import keras` can work: Keras and TensorFlow are installed, and no plain command has ruled them out."""
    return all(importlib.util.find_spec(name) is not None for name in ("keras", "tensorflow"))


def require_tensorflow_backend() -> None:
    """Checks, before Keras is loaded, which backend it would take.

    Raises:
        ImportError: if that is not TensorFlow.
    """
    backend = _backend()
    if backend != "tensorflow":
        raise ImportError(
            f"keras_cdd needs Keras on TensorFlow, and Keras is set to {backend!r}; set KERAS_BACKEND=tensorflow "
            "before Keras is imported."
        )


def _backend() -> str:
    """The backend of the loaded Keras, or else what Keras reads when it is loaded: the variable, then keras.json."""
    if "keras" in sys.modules:
        return sys.modules["keras"].config.backend()
    if chosen := os.environ.get("KERAS_BACKEND"):
        return chosen
    home = os.environ.get("KERAS_HOME")
    folder = pathlib.Path(home) if home else pathlib.Path.home() / ".keras"
    try:
        return json.loads((folder / "keras.json").read_text()).get("backend", "tensorflow")
    except (OSError, ValueError, AttributeError):
        return "tensorflow"
