"""How long one image takes."""

import statistics
import time

import numpy as np

from keras_cdd.evaluation.embed import as_embedder


def latency_ms(model, image_size, repeats=20):
    """Median milliseconds of one image through a Keras model, all cores, after a warm-up."""
    embedder = as_embedder(model)
    image = np.zeros((1, *image_size, 3), np.float32)
    times = []
    for _ in range(repeats + 3):
        started = time.perf_counter()
        embedder(image)
        times.append(time.perf_counter() - started)
    return round(1000 * statistics.median(times[3:]), 3)
