"""Whether Keras and TensorFlow are here, told without loading them, and what they are told before."""

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


def switch_on_onednn() -> None:
    """Switches on TensorFlow's oneDNN kernels, unless `TF_ENABLE_ONEDNN_OPTS` is set or TensorFlow has one thread.

    TensorFlow does so by itself on some processors only; without them convolution gradients take three times as long.
    With one thread its own choice stands: on AVX2, which it leaves out, oneDNN's gradients of 1x1 convolutions with
    strides then write past the end of their memory (TensorFlow 2.21).
    """
    if _threads() > 1:
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def _threads() -> int:
    """Threads of an operation: as TensorFlow's variable says, else one for each core that this process may use."""
    given = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
