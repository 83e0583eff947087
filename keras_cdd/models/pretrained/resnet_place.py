"""The place of a weight in `gated_resnet`."""

import re
from typing import NamedTuple


class ResNetPlace(NamedTuple):
    """Stage and block (from 1), unit (such as "conv1" or "shortcut"), part ("conv" or "bn") and variable ("kernel")."""

    stage: int
    block: int
    unit: str
    part: str
    variable: str

    @classmethod
    def of(cls, path: str) -> "ResNetPlace | None":
        """The place of the weight with this path; None for weights outside blocks and for indicators."""
        found = re.fullmatch(r"stage(\d)_block(\d+)/(conv\d|shortcut)/(conv|bn)/(\w+)", path)
        return found and cls(int(found[1]), int(found[2]), found[3], found[4], found[5])
