"""Preprocessing as a scale and an offset."""

from collections.abc import Callable
from typing import Any

import numpy as np

# (scale, offset) from pixels 0..255 to the input of a network, each a number or one per channel.
Rescaling = tuple[float | list[float], float | list[float]]


def rescaling_of(preprocess_input: Callable[..., Any]) -> tuple[Rescaling, bool]:
    """Expresses a `preprocess_input` as `((scale, offset), swapped)`.

    Args:
        preprocess_input: function of images (N, H, W, 3) in 0..255 with an argument `data_format`; it must be affine in
            each channel.

    Returns:
        Scale and offset, each a list of 3 in RGB order or, if it is the same for all channels, a number; and whether
        the function swaps RGB to BGR.
    """
    pixels = np.zeros((4, 1, 1, 3), "float32")
    for channel in range(3):
        pixels[channel + 1, 0, 0, channel] = 255.0
    seen = np.asarray(preprocess_input(pixels.copy(), data_format="channels_last"))[:, 0, 0]
    steps = (seen[1:] - seen[0]) / 255.0
    swapped = bool(steps[0, 0] == 0)
    if swapped:
        steps, seen = steps[:, ::-1], seen[:, ::-1]
    return (_short(np.diag(steps)), _short(seen[0])), swapped


def _short(values: np.ndarray) -> float | list[float]:
    return float(values[0]) if np.ptp(values) == 0 else values.tolist()
