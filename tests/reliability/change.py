"""Inputs that damage one file."""

import random

from hypothesis import strategies as st

SEEDS = st.integers(0, 2**32 - 1)


def change(path, damage):
    """`(inputs, write)`: a seed writes the file anew, damaged; bytes are what it then contains."""
    content = path.read_bytes()

    def write(given):
        path.write_bytes(given if isinstance(given, bytes) else damage(content, random.Random(given)))

    return SEEDS, write
