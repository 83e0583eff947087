"""Describes a naming scheme, so that weights with such names can be loaded."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from keras_cdd.models.rescaling import Rescaling


@dataclasses.dataclass(frozen=True)
class Scheme:
    """A naming scheme of weights.

    Attributes:
        mark: pattern that matches the start of a name that only this scheme has; None if there is no such name.
        keys: function from the paths of our weights to {path: name in the scheme}, without paths that the scheme does
            not know.
        convert: function of an array and the path of our weight that returns the array in our layout.
        spare: pattern that matches the start of names that need no place, such as those of the classifier.
        rescaling: (scale, offset) from pixels 0..255 to the input that the weights were trained on, each a number or
            one per channel.
        finish: function of the converted arrays, {path: array}, and the source's arrays that changes the former in
            place, if several arrays of the source make one of ours. Default: None.
    """

    mark: re.Pattern[str] | None
    keys: Callable[[Iterable[str]], dict[str, str]]
    convert: Callable[[np.ndarray, str], np.ndarray]
    spare: re.Pattern[str]
    rescaling: Rescaling
    finish: Callable[[dict[str, np.ndarray], Mapping[str, Any]], None] | None = None
