"""Every backbone by name."""

import collections
import functools
from collections.abc import Callable

import keras

from keras_cdd.models.applications import APPLICATIONS, application
from keras_cdd.models.efficientnet_lite import EFFICIENTNET_LITES, RESCALING, efficientnet_lite
from keras_cdd.models.gated_resnet import BACKBONES
from keras_cdd.models.rescaling import Rescaling


def _lite(backbone: str, image_size: tuple[int, int], rescaling: Rescaling | None = None) -> keras.Model:
    network = efficientnet_lite(backbone, image_size, rescaling=rescaling or RESCALING)
    return keras.Model(network.input, network.output["feature_map"], name=backbone)


# Backbones of stock layers: name -> function `make(image_size, rescaling=None)` of (height, width) in pixels and
# (scale, offset), by default those of the published network. It returns a functional model from pixels (N, height,
# width, 3) in 0..255 to a feature map (N, h, w, C).
STOCK_BACKBONES: dict[str, Callable[..., keras.Model]] = {
    **{name: functools.partial(_lite, name) for name in EFFICIENTNET_LITES},
    **{name: functools.partial(application, name) for name in APPLICATIONS},
}
# The names of all: gated ResNets, then those of stock layers.
ALL_BACKBONES = collections.ChainMap[str, object](STOCK_BACKBONES, BACKBONES)  # type: ignore[arg-type]
