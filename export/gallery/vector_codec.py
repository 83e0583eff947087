"""Encodes unit vectors with one or two bytes per number (NumPy)."""

import numpy as np

STORED = {"int8": np.dtype("i1"), "float16": np.dtype("<f2")}
BLOCK, TOLERANCE = 4096, 1e-6


def encode(unit, embedding_type):
    """Rounds unit vectors to int8 or float16.

    Args:
        unit: float (N, D), rows of length 1.
        embedding_type: "int8", round(127 x / max|x|) per row, or "float16".

    Returns:
        `(stored, scales)`: (N, D) of that type, and float64 (N,) by which the stored rows are multiplied to have
        length 1.
    """
    unit = np.asarray(unit, np.float64)
    if embedding_type == "int8":
        unit = np.rint(unit * (127 / np.abs(unit).max(1, keepdims=True)))
    stored = unit.astype(STORED[embedding_type])
    return stored, 1 / lengths(stored)


def decode(content, embedding_type, size):
    """The rows (N, size) in the concatenated bytes of N blobs, without copying."""
    return np.frombuffer(content, STORED[embedding_type]).reshape(-1, size)


def lengths(stored):
    """Euclidean length of every stored row, float64 (N,); the sum of squares is exact for int8."""
    parts = [np.empty(0)]
    for start in range(0, len(stored), BLOCK):
        block = stored[start : start + BLOCK].astype(np.float64)
        parts.append(np.sqrt(np.einsum("nd,nd->n", block, block)))
    return np.concatenate(parts)


def misfit(stored, scales):
    """Which scaled rows do not have length 1, bool (N,); a flipped bit changes that, unless it only changes a sign."""
    with np.errstate(all="ignore"):
        return ~(np.abs(lengths(stored) * scales - 1) < TOLERANCE)
