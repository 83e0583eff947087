"""EfficientNet-Lite: phone backbones of inverted residual blocks without squeeze-and-excitation."""

import dataclasses
import math
from collections.abc import Sequence

import keras

from keras_cdd.annotations import Tensor

# Width coefficient, depth coefficient, height and width of the image in pixels.
EFFICIENTNET_LITES = {
    "efficientnet_lite0": (1.0, 1.0, 224),
    "efficientnet_lite1": (1.0, 1.1, 240),
    "efficientnet_lite2": (1.1, 1.2, 260),
    "efficientnet_lite3": (1.2, 1.4, 280),
    "efficientnet_lite4": (1.4, 1.8, 300),
}
# (pixel - 127) / 128
RESCALING = (1 / 128, -127 / 128)
STEM_FILTERS, TOP_FILTERS = 32, 1280


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage: number of blocks, kernel size, stride of the first block, expansion factor and output filters."""

    depth: int
    kernel_size: int
    stride: int
    expansion: int
    filters: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def efficientnet_lite(
    backbone: str = "efficientnet_lite0",
    image_size: tuple[int, int] | None = None,
    num_classes: int | None = None,
    width_multiplier: float = 1.0,
    rescaling: tuple[float | Sequence[float], float | Sequence[float]] = RESCALING,
    name: str | None = None,
) -> keras.Model:
    """A functional EfficientNet-Lite of stock Keras layers.

    Tan and Le, "EfficientNet" (arXiv:1905.11946), in the variant for phones from
    https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite: ReLU6 instead of swish, no
    squeeze-and-excitation, stem and top of a fixed width. Dropout and stochastic depth are left out, because they only
    help to train a classifier from scratch.

    Args:
        backbone: "efficientnet_lite0" (the default) to "efficientnet_lite4".
        image_size: (height, width) in pixels. Default: the published size, 224, 240, 260, 280 or 300 squared.
        num_classes: number of classes; None (the default) for a model without `logits`.
        width_multiplier: factor on all filters, including stem and top; 1.0 (the default) is the published network,
            small values make tests fast.
        rescaling: (scale, offset) from pixels 0..255 to the network's input, each a number or one per channel. Default:
            (1 / 128, -127 / 128).
        name: name of the model; the backbone by default.

    Returns:
        A `keras.Model` from (N, height, width, 3) pixels in 0..255 to a dict of `feature_map`
        (N, height / 32, width / 32, 1280), `features` (N, 1280), its average over all positions, and `logits`
        (N, num_classes).

    Raises:
        ValueError: if `backbone` is unknown.
    """
    if backbone not in EFFICIENTNET_LITES:
        raise ValueError(
            f"Argument `backbone` must be one of {sorted(EFFICIENTNET_LITES)}. Received: backbone={backbone!r}"
        )
    width, depth, size = EFFICIENTNET_LITES[backbone]

    # === Functional Model ===
    image = keras.Input((*(image_size or (size, size)), 3), name="image")
    scale, offset = rescaling
    x = keras.layers.Rescaling(scale, offset, name="rescaling")(image)
    x = _conv_bn(x, "stem", _rounded(STEM_FILTERS * width_multiplier), 3, strides=2)
    x = keras.layers.ReLU(6.0, name="stem_relu")(x)
    for number, stage in enumerate(STAGES, start=1):
        filters = _rounded(_rounded(stage.filters * width) * width_multiplier)
        # The first and last stage keep their depth, as stem and top keep their width.
        blocks = stage.depth if stage in (STAGES[0], STAGES[-1]) else math.ceil(stage.depth * depth)
        for block in range(1, blocks + 1):
            stride = stage.stride if block == 1 else 1
            x = _inverted_residual(
                x, filters, stage.kernel_size, stride, stage.expansion, f"stage{number}_block{block}"
            )
    x = _conv_bn(x, "top", _rounded(TOP_FILTERS * width_multiplier), 1)
    feature_map = keras.layers.ReLU(6.0, name="top_relu")(x)
    outputs = {
        "feature_map": feature_map,
        "features": keras.layers.GlobalAveragePooling2D(name="features")(feature_map),
    }
    if num_classes is not None:
        outputs["logits"] = keras.layers.Dense(num_classes, name="logits")(outputs["features"])
    return keras.Model(image, outputs, name=name or backbone)


def _inverted_residual(x: Tensor, filters: int, kernel_size: int, stride: int, expansion: int, name: str) -> Tensor:
    """Expansion, depthwise convolution, projection; plus the input if size and number of filters do not change."""
    layers = keras.layers
    shortcut, y = x, x
    if expansion > 1:
        y = _conv_bn(y, f"{name}_expand", expansion * x.shape[-1], 1)
        y = layers.ReLU(6.0, name=f"{name}_expand_relu")(y)
    y = layers.DepthwiseConv2D(
        kernel_size,
        strides=stride,
        padding="same",
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}_depthwise_conv",
    )(y)
    y = layers.BatchNormalization(epsilon=1e-3, name=f"{name}_depthwise_bn")(y)
    y = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(y)
    y = _conv_bn(y, f"{name}_project", filters, 1)
    if stride == 1 and shortcut.shape[-1] == filters:
        y = layers.Add(name=f"{name}_add")([y, shortcut])
    return y


def _conv_bn(x: Tensor, name: str, filters: int, kernel_size: int, strides: int = 1) -> Tensor:
    x = keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return keras.layers.BatchNormalization(epsilon=1e-3, name=f"{name}_bn")(x)


def _rounded(filters: float) -> int:
    """The nearest multiple of 8, at least 8; the next larger multiple if rounding would remove over 10 %."""
    nearest = max(8, int(filters + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * filters else nearest
