"""What has to be said about a naming scheme so that weights under it can be loaded."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

Rescaling = tuple[float | list[float], float | list[float]]


@dataclasses.dataclass(frozen=True)
class Scheme:
    """A naming scheme of weights.

    Attributes:
        mark: matches the start of a name that only this scheme has; it tells the scheme. None for no such name.
        keys: from the paths of our weights to {path: name in the scheme}, without those that the scheme cannot have.
        convert: from an array and the path of our weight to the array in our layout.
        spare: matches the start of names that may be left over, such as the classifier's.
        rescaling: (scale, offset) from pixels 0..255 to what the weights were trained on; numbers or one a channel.
        finish: changes the converted arrays, {path: array}, where several arrays of the source make one of ours.
    """

    mark: re.Pattern[str] | None
    keys: Callable[[Iterable[str]], dict[str, str]]
    convert: Callable[[np.ndarray, str], np.ndarray]
    spare: re.Pattern[str]
    rescaling: Rescaling
    finish: Callable[[dict[str, np.ndarray], Mapping[str, Any]], None] | None = None
