"""Inputs that damage one file."""

import random

from hypothesis import strategies as st

SEEDS = st.integers(0, 2**32 - 1)


def change(path, damage):
    """`(inputs, write)`: a seed writes the file anew, damaged."""
    content = path.read_bytes()
    return SEEDS, lambda seed: path.write_bytes(damage(content, random.Random(seed)))
