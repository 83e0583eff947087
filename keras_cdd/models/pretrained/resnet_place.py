"""Where a weight of `gated_resnet` stands."""

import re
from typing import NamedTuple


class ResNetPlace(NamedTuple):
    """Stage and block, counted from 1, the unit ("conv1" or "shortcut"), its part ("conv", "bn") and the variable."""

    stage: int
    block: int
    unit: str
    part: str
    variable: str

    @classmethod
    def of(cls, path: str) -> "ResNetPlace | None":
        """The place of a weight; None outside the blocks and in indicators."""
        found = re.fullmatch(r"stage(\d)_block(\d+)/(conv\d|shortcut)/(conv|bn)/(\w+)", path)
        return found and cls(int(found[1]), int(found[2]), found[3], found[4], found[5])
