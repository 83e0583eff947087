"""Measures the latency of a model."""

import statistics
import time

import numpy as np


def latency_ms(embedder, repeats=20):
    """Median latency of one image on all cores in milliseconds, after three warm-up runs.

    Args:
        embedder: `KerasEmbedder`, or another function of images with an `image_size`.
        repeats: number of timed runs, 20 by default.
    """
    image = np.zeros((1, *embedder.image_size, 3), np.float32)
    times = []
    for _ in range(repeats + 3):
        started = time.perf_counter()
        embedder(image)
        times.append(time.perf_counter() - started)
    return round(1000 * statistics.median(times[3:]), 3)
