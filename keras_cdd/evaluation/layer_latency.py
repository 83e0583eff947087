"""Measures how long LiteRT takes for one layer on one thread."""

import importlib.metadata
import pathlib
import platform
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from keras_cdd.evaluation.layer_file import layer_file

# Every layer has its turn in each round, with so many runs and seconds at least, after a warm-up.
ROUNDS, RUNS, SECONDS, WARM_UP = 4, 3, 0.005, 2


def layers_ms(layers, precision):
    """Least time of a run of each layer in milliseconds: what else the machine does lengthens that least.

    Args:
        layers: list of (shape, inputs, outputs), and `precision`: as in `layer_file`.
    """
    rounds = [[_least_ms(*layer, precision) for layer in layers] for _ in range(ROUNDS)]
    return [min(taken) for taken in zip(*rounds, strict=True)]


def _least_ms(shape, inputs, outputs, precision):
    interpreter = Interpreter(model_content=layer_file(shape, inputs, outputs, precision), num_threads=1)
    interpreter.allocate_tensors()
    (details,) = interpreter.get_input_details()
    noise = np.random.default_rng(0).integers(0, 128, details["shape"]).astype(details["dtype"])
    interpreter.set_tensor(details["index"], noise)
    for _ in range(WARM_UP):
        interpreter.invoke()
    taken = []
    while len(taken) < RUNS or sum(taken) < SECONDS:
        started = time.perf_counter()
        interpreter.invoke()
        taken.append(time.perf_counter() - started)
    return 1000 * min(taken)


def timing_facts(precision):
    """Dict of what the time of a layer depends on: runtime, processor, threads, precision."""
    return {
        "runtime": f"ai-edge-litert {importlib.metadata.version('ai-edge-litert')}",
        "processor": _processor(),
        "threads": 1,
        "precision": precision,
    }


def _processor():
    """Name and features, where the system tells them."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    told = [line.partition(":")[::2] for line in lines]
    names = ("model name", "flags", "Features", "CPU part")
    return " ".join([platform.machine(), *sorted({value.strip() for key, value in told if key.strip() in names})])
