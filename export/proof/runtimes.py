"""Runs the installed interpreters, each in a separate process because tflite-runtime fails beside TensorFlow."""

import importlib.metadata
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

from keras_cdd.errors import UserError
from keras_cdd.evaluation.metrics import unit_length
from keras_cdd.evaluation.tflite_embedder import installed_runtimes, open_interpreter


def runtime_versions():
    """Dict package -> version of all `installed_runtimes`."""
    return {package: importlib.metadata.version(package) for package in installed_runtimes()}


def embed_with(package, path, images, python=None):
    """Embeds images with one of `RUNTIMES`, one image at a time, through the file's signature.

    Args:
        package: package name of the runtime.
        path: path of a `.tflite` file.
        images: uint8 (N, height, width, 3).
        python: the words that start another Python, which has the runtime and NumPy, such as one in an emulator. By
            default this one.

    Returns:
        float32 (N, D), not normalised.

    Raises:
        UserError: if the runtime cannot run the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, answer = (os.path.join(folder, name) for name in ("images.npy", "embeddings.npy"))
        np.save(given, images)
        # Works for any name and location of this package.
        here = pathlib.Path(__file__).resolve()
        command = [*(python or [sys.executable]), "-m", f"{__package__}.embed_apart", package, str(path), given, answer]
        paths = [str(here.parents[2]), *([] if python else sys.path)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        if python:
            # Packages of this Python's user would be found before those of the other one.
            environment["PYTHONNOUSERSITE"] = "1"
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            raise UserError(f"Model {path} does not run on {package}: {reason}")
        return np.load(answer, allow_pickle=False)


def likeness(expected, found):
    """Compares the embeddings that two runtimes give for the same images.

    Args:
        expected, found: embeddings (N, D), not normalised.

    Returns:
        Dict of `identical`, whether they are bit-identical; `cosine_min`; `same_nearest`, percent of images whose
        nearest other image is the same; and `similarity_lost`, the largest amount by which the nearest image in
        `found` is less similar than the one in `expected`, which is small if only near ties changed.
    """
    similarities, theirs = _among_themselves(expected), _among_themselves(found)
    nearest = theirs.argmax(1)
    lost = similarities.max(1) - similarities[np.arange(len(nearest)), nearest]
    return {
        "identical": bool(np.array_equal(expected, found)),
        "cosine_min": round(float(cosines(expected, found).min()), 6),
        "same_nearest": round(100 * float(np.mean(similarities.argmax(1) == nearest)), 1),
        "similarity_lost": round(float(lost.max()), 6),
    }


def _among_themselves(embeddings):
    """Cosines (N, N), with -1 on the diagonal so that no image is its own nearest."""
    unit = unit_length(embeddings)
    similarities = unit @ unit.T
    np.fill_diagonal(similarities, -1.0)
    return similarities


def cosines(a, b):
    """Cosines (N,) of the rows of `a` and `b`, both (N, D)."""
    return np.sum(unit_length(a) * unit_length(b), axis=1)


def latency_ms(path, threads, seconds=2.0):
    """Median latency of one image on ai-edge-litert in milliseconds, after a warm-up of 5 runs.

    Args:
        path: path of a `.tflite` file.
        threads: number of threads.
        seconds: how long to measure, 2.0 by default; at least 20 runs.
    """
    interpreter = open_interpreter("ai-edge-litert", path, threads)
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    noise = np.random.default_rng(0).integers(0, 256, details["shape"], np.uint8)
    interpreter.set_tensor(details["index"], as_input(noise, details["dtype"]))
    for _ in range(5):
        interpreter.invoke()
    taken, end = [], time.perf_counter() + seconds
    while len(taken) < 20 or time.perf_counter() < end:
        start = time.perf_counter()
        interpreter.invoke()
        taken.append(1000 * (time.perf_counter() - start))
    return statistics.median(taken)


def as_input(images, dtype):
    """Pixels 0..255 in the input type of a file; for int8, pixels minus 128."""
    return (images.astype(np.int16) - 128).astype(np.int8) if dtype == np.int8 else images.astype(dtype)
