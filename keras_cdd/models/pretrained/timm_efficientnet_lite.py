"""EfficientNet-Lite under timm's names (`tf_efficientnet_lite0` to `tf_efficientnet_lite4`)."""

import re
from collections.abc import Iterable

from keras_cdd.models.efficientnet_lite import RESCALING
from keras_cdd.models.pretrained.scheme import Scheme
from keras_cdd.models.pretrained.torch_layout import from_torch, torch_name

LAYERS = {"stem_conv": "conv_stem", "stem_bn": "bn1", "top_conv": "conv_head", "top_bn": "bn2", "logits": "classifier"}
BLOCK_LAYERS = {
    "expand_conv": "conv_pw",
    "expand_bn": "bn1",
    "depthwise_conv": "conv_dw",
    "depthwise_bn": "bn2",
    "project_conv": "conv_pwl",
    "project_bn": "bn3",
}
# Blocks of the first stage have no expansion, so the projection is their first pointwise convolution.
FIRST_STAGE_LAYERS = {
    "depthwise_conv": "conv_dw",
    "depthwise_bn": "bn1",
    "project_conv": "conv_pw",
    "project_bn": "bn2",
}


def timm_efficientnet_lite_keys(paths: Iterable[str]) -> dict[str, str]:
    return {path: key for path in paths if (key := _key(path)) is not None}


def _key(path: str) -> str | None:
    layer, variable = path.rsplit("/", 1)
    if layer in LAYERS:
        return f"{LAYERS[layer]}.{torch_name(variable)}"
    found = re.fullmatch(r"stage(\d+)_block(\d+)_(\w+)", layer)
    if found is None:
        return None
    stage, block = int(found[1]) - 1, int(found[2]) - 1
    name = (BLOCK_LAYERS if stage else FIRST_STAGE_LAYERS).get(found[3])
    return name and f"blocks.{stage}.{block}.{name}.{torch_name(variable)}"


SCHEME = Scheme(
    mark=re.compile(r"blocks\.0\.0\.conv_dw\."),
    keys=timm_efficientnet_lite_keys,
    convert=from_torch,
    spare=re.compile(r"classifier\."),
    rescaling=RESCALING,
)
