"""ResNets under torchvision's names, which timm's ResNets share."""

import re
from collections.abc import Iterable

from keras_cdd.models.pretrained.resnet_place import ResNetPlace
from keras_cdd.models.pretrained.scheme import Scheme
from keras_cdd.models.pretrained.torch_layout import from_torch, torch_name

MEANS = (0.485, 0.456, 0.406)
DEVIATIONS = (0.229, 0.224, 0.225)


def torchvision_keys(paths: Iterable[str]) -> dict[str, str]:
    return {path: key for path in paths if (key := _key(path)) is not None}


def _key(path: str) -> str | None:
    layer, variable = path.rsplit("/", 1)
    if layer in ("stem_conv", "stem_bn"):
        return f"{'conv1' if layer == 'stem_conv' else 'bn1'}.{torch_name(variable)}"
    if (place := ResNetPlace.of(path)) is None:
        return None
    if place.unit == "shortcut":
        inner = {"conv": "downsample.0", "bn": "downsample.1"}[place.part]
    else:
        inner = place.unit.replace("conv", place.part)
    return f"layer{place.stage}.{place.block - 1}.{inner}.{torch_name(variable)}"


SCHEME = Scheme(
    mark=re.compile(r"layer1\.0\."),
    keys=torchvision_keys,
    convert=from_torch,
    spare=re.compile(r"fc\."),
    rescaling=(
        [1 / (255 * deviation) for deviation in DEVIATIONS],
        [-mean / deviation for mean, deviation in zip(MEANS, DEVIATIONS, strict=True)],
    ),
)
