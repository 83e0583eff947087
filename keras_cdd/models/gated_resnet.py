"""ResNets of gated blocks at any depth and width, with the retrieval head."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_cdd.annotations import Tensor
from keras_cdd.layers import FusedBatchNormalization, GatedBasicBlock, GatedBottleneck, embedding_head
from keras_cdd.layers.embedding_head import POOLINGS

BACKBONES = {
    "resnet18": (GatedBasicBlock, (2, 2, 2, 2)),
    "resnet34": (GatedBasicBlock, (3, 4, 6, 3)),
    "resnet50": (GatedBottleneck, (3, 4, 6, 3)),
    "resnet101": (GatedBottleneck, (3, 4, 23, 3)),
    "resnet152": (GatedBottleneck, (3, 8, 36, 3)),
}
STEMS = ("standard", "small")
# Choices for the convolutions with indicators; "none" is a plain (teacher) network.
INDICATORS = tuple(GatedBottleneck.SITES)
LAST_STRIDES = (1, 2)


def gated_resnet(
    backbone: str = "resnet50",
    width: int = 64,
    image_size: tuple[int, int] = (256, 256),
    num_classes: int | None = None,
    embedding_size: int = 512,
    indicators: str = "both",
    stem: str = "standard",
    last_stride: int = 1,
    pooling: str = "avg",
    rescaling: tuple[float | Sequence[float], float | Sequence[float]] = (1 / 127.5, -1.0),
    stride_on: str | None = None,
    name: str | None = None,
    head: str = "neck",
    indicator: str = "dense",
) -> keras.Model:
    """A functional retrieval network of gated blocks.

    Args:
        backbone: "resnet18", "resnet34", "resnet50" (the default), "resnet101" or "resnet152".
        width: filters of the first stage; 64 (the default) is the standard, small values make tests fast.
        image_size: (height, width) in pixels; (256, 256) by default.
        num_classes: number of training identities; None (the default) for a model without `logits`.
        embedding_size: length of the embedding; 512 by default.
        indicators: "both" (after conv1 and conv2 of a bottleneck, the default), "conv2" (only after conv2, as in the
            paper), or "none" for a plain (teacher) network.
        stem: "standard" (7x7 stride 2 and max-pooling, the default) or "small" (3x3, no pooling).
        last_stride: stride of the last stage, 1 (retrieval, the default) or 2 (classification).
        pooling: "avg" (the default) or "gem".
        rescaling: (scale, offset) from pixels 0..255 to the network's input, each a number or one per channel. Default:
            (1 / 127.5, -1.0).
        stride_on: name of the convolution in a block that halves the size; "conv1" for weights of keras.applications.
            Default: that of the block's class.
        name: name of the model; "gated_" and the backbone by default.
        head: "neck" (the default), "linear" or "none", see `embedding_head`.
        indicator: "dense" (the default) or "diagonal", see `GatedBottleneck`.

    Returns:
        A `keras.Model` from (N, height, width, 3) pixels in 0..255 to the dict of `embedding_head`: `features`,
        `embedding` and, with `num_classes`, `logits`.

    Raises:
        ValueError: if `backbone`, `stem`, `pooling`, `indicators`, `last_stride` or `head` is none of these choices.
    """
    choices = {
        "backbone": (backbone, tuple(BACKBONES)),
        "stem": (stem, STEMS),
        "indicators": (indicators, INDICATORS),
        "last_stride": (last_stride, LAST_STRIDES),
        "pooling": (pooling, POOLINGS),
    }
    for argument, (value, allowed) in choices.items():
        if value not in allowed:
            raise ValueError(f"Argument `{argument}` must be one of {allowed}. Received: {argument}={value!r}")
    block, depths = BACKBONES[backbone]
    options: dict[str, Any] = {"indicators": indicators, "indicator": indicator, "stride_on": stride_on}

    # === Functional Model ===
    image = keras.Input((*image_size, 3), name="image")
    scale, offset = rescaling
    x = keras.layers.Rescaling(scale, offset, name="rescaling")(image)
    x = _stem(x, width, stem)
    for stage, depth in enumerate(depths, start=1):
        filters = width * 2 ** (stage - 1)
        for number in range(1, depth + 1):
            stride = {1: 1, 4: last_stride}.get(stage, 2) if number == 1 else 1
            x = block(filters, stride, **options, name=f"stage{stage}_block{number}")(x)
    outputs = embedding_head(x, embedding_size, num_classes, pooling, head)
    return keras.Model(image, outputs, name=name or f"gated_{backbone}")


def _stem(x: Tensor, width: int, stem: str) -> Tensor:
    layers = keras.layers
    standard = stem == "standard"
    if standard:
        x = layers.ZeroPadding2D(3, name="stem_pad")(x)
    x = layers.Conv2D(
        width,
        7 if standard else 3,
        strides=2 if standard else 1,
        padding="valid" if standard else "same",
        use_bias=False,
        kernel_initializer="he_normal",
        name="stem_conv",
    )(x)
    x = FusedBatchNormalization(momentum=0.9, epsilon=1e-5, name="stem_bn")(x)
    x = layers.ReLU(name="stem_relu")(x)
    if standard:
        # Zero padding is neutral: after a ReLU no value is below zero.
        x = layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
        x = layers.MaxPooling2D(3, strides=2, name="stem_pool")(x)
    return x
