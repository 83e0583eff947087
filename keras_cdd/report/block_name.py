"""Short names for charts."""

import re


def block_name(name):
    """`stage2_block1` -> `block 2.1`, `stage2_block1/conv2` -> `2.1 conv2`; other names are returned unchanged."""
    found = re.fullmatch(r"stage(\d+)_block(\d+)(?:/(\w+))?", name)
    if not found:
        return name
    stage, block, unit = found.groups()
    return f"{stage}.{block} {unit}" if unit else f"block {stage}.{block}"
