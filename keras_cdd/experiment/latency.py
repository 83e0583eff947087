"""How long one image takes."""

import statistics
import time

import numpy as np


def latency_ms(embedder, repeats=20):
    """Median milliseconds of one image on all cores, after a warm-up.

    Args:
        embedder: `KerasEmbedder`, or another function of images with an `image_size`.
        repeats: runs that are timed.
    """
    image = np.zeros((1, *embedder.image_size, 3), np.float32)
    times = []
    for _ in range(repeats + 3):
        started = time.perf_counter()
        embedder(image)
        times.append(time.perf_counter() - started)
    return round(1000 * statistics.median(times[3:]), 3)
