"""Checkpoints of the authors of Capacity Dynamic Distillation: ResNets with indicators and the retrieval head."""

import re
from collections.abc import Iterable

from keras_cdd.models.pretrained.resnet_place import ResNetPlace
from keras_cdd.models.pretrained.scheme import Scheme
from keras_cdd.models.pretrained.torch_layout import from_torch, torch_name

HEAD_NAMES = {
    "head_bn1": "classifier.add_block.0",
    "head_dense": "classifier.add_block.2",
    "head_bn2": "classifier.add_block.3",
    "head_logits": "classifier.classifier",
}


def authors_keys(paths: Iterable[str]) -> dict[str, str]:
    return {path: key for path in paths if (key := _key(path)) is not None}


def _key(path: str) -> str | None:
    layer, variable = path.rsplit("/", 1)
    if indicator := re.fullmatch(r"stage(\d)_block(\d+)/conv2/indicator/\w+", path):
        return f"stage{indicator[1]}.{int(indicator[2]) - 1}.compactor.weight"
    if (place := ResNetPlace.of(path)) is not None:
        return f"stage{place.stage}.{place.block - 1}.{place.unit}.{place.part}.{torch_name(place.variable)}"
    if layer in ("stem_conv", "stem_bn"):
        return f"stage0.conv1.{layer.removeprefix('stem_')}.{torch_name(variable)}"
    return f"{HEAD_NAMES[layer]}.{torch_name(variable)}" if layer in HEAD_NAMES else None


SCHEME = Scheme(
    mark=re.compile(r"stage0\."),
    keys=authors_keys,
    convert=from_torch,
    spare=re.compile(r"classifier\."),
    rescaling=(1 / 127.5, -1.0),
)
