"""The words of our annotations."""

from typing import Any

Tensor = Any  # Of whatever backend Keras runs on, symbolic ones included.
Shape = tuple[Any, ...]  # Numbers, None where a size is not known.
