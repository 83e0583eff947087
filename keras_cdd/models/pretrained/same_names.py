"""Weights of the same network under the same paths, such as another run's model or one of keras.applications."""

import re
from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from keras_cdd.models.pretrained.scheme import Scheme

# Names that Keras generates and numbers through all networks of a process.
NUMBERED = re.compile(r"(variable|dense|(depthwise_|separable_)?conv2d|(batch_|layer_)?normalization)(?:_(\d+))?")


def steady_names(names: Iterable[str]) -> dict[str, str]:
    """Dict name -> the same name, renumbered as if its network were the first of the process."""
    names = list(names)
    numbers = defaultdict(set)
    for match in (NUMBERED.fullmatch(part) for name in names for part in name.split("/")):
        if match:
            numbers[match[1]].add(int(match[4] or 0))
    ranks = {base: {number: rank for rank, number in enumerate(sorted(found))} for base, found in numbers.items()}

    def steady(part: str) -> str:
        if (match := NUMBERED.fullmatch(part)) is None:
            return part
        rank = ranks[match[1]][int(match[4] or 0)]
        return f"{match[1]}_{rank}" if rank else match[1]

    return {name: "/".join(steady(part) for part in name.split("/")) for name in names}


def _as_it_is(array: np.ndarray, path: str) -> np.ndarray:
    return array


SCHEME = Scheme(
    # Recognised by comparison with the names of the model, not by a mark.
    mark=None,
    keys=steady_names,
    convert=_as_it_is,
    spare=re.compile(r"head_|logits/|predictions/|normalization(_\d+)?/"),
    rescaling=(1.0, 0.0),
)
