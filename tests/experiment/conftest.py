"""A backbone of three blocks: whole runs in seconds."""

import pytest

from keras_cdd.layers import GatedBasicBlock
from keras_cdd.models import BACKBONES


@pytest.fixture(scope="module")
def tiny_backbone():
    """The name of a backbone that only tests use."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, "tiny", (GatedBasicBlock, (1, 1, 1)))
        yield "tiny"
