"""The interpreters that are installed, each in a process of its own: tflite-runtime fails beside TensorFlow."""

import importlib
import importlib.metadata
import importlib.util
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

PACKAGES = {"ai-edge-litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime"}


def installed_runtimes():
    """Package -> version of the interpreters that are there; ai-edge-litert first."""
    found = {package: module for package, module in PACKAGES.items() if importlib.util.find_spec(module)}
    return {package: importlib.metadata.version(package) for package in found}


def embed_with(package, path, images):
    """Embeddings of images by one of `installed_runtimes`, one image at a time, through the file's signature.

    Args:
        package: name of the runtime.
        path: of a `.tflite` file.
        images: uint8 (N, height, width, 3).

    Returns:
        float32 (N, D).

    Raises:
        ValueError: if this runtime does not run the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, answer = (os.path.join(folder, name) for name in ("images.npy", "embeddings.npy"))
        np.save(given, images)
        # Whatever this package is called here, and wherever it lies.
        here = pathlib.Path(__file__).resolve()
        command = [sys.executable, "-m", f"{here.parent.name}.{here.stem}", package, str(path), given, answer]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here.parent.parent), *sys.path])}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            raise ValueError(f"Model {path} does not run on {package}: {reason}")
        return np.load(answer)


def latency_ms(path, threads, seconds=2.0):
    """Median of the milliseconds for one image on ai-edge-litert, after a warm-up; at least 20 runs."""
    interpreter = _interpreter("ai-edge-litert", path, threads)
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
    """Pixels 0..255 in the type that a file takes; int8 is 128 less."""
    return (images.astype(np.int16) - 128).astype(np.int8) if dtype == np.int8 else images.astype(dtype)


def _interpreter(package, path, threads=1):
    return importlib.import_module(f"{PACKAGES[package]}.interpreter").Interpreter(str(path), num_threads=threads)


def _child(package, path, given, answer):
    run = _interpreter(package, path).get_signature_runner()
    pixels = as_input(np.load(given), run.get_input_details()["image"]["dtype"])
    # A copy: the next image overwrites what the runner gave.
    np.save(answer, np.concatenate([run(image=pixels[n : n + 1])["embedding"].copy() for n in range(len(pixels))]))


if __name__ == "__main__":
    _child(*sys.argv[1:])
