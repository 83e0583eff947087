"""Retrieval networks of stock layers: a backbone and the retrieval head."""

import keras

from keras_cdd.errors import UserError
from keras_cdd.layers import embedding_head
from keras_cdd.models.backbones import STOCK_BACKBONES
from keras_cdd.models.rescaling import Rescaling


def retrieval_model(
    backbone: str,
    image_size: tuple[int, int],
    num_classes: int | None = None,
    embedding_size: int = 512,
    pooling: str = "avg",
    rescaling: Rescaling | None = None,
    head: str = "neck",
) -> keras.Model:
    """A functional retrieval network of stock layers; `gated_resnet` makes those of gated blocks.

    Args:
        backbone: a key of `STOCK_BACKBONES`, such as "mobilenet_v2" or "efficientnet_lite0".
        image_size: (height, width) in pixels.
        num_classes: number of training identities; None (the default) for a model without `logits`.
        embedding_size: length of the embedding; 512 by default.
        pooling: "avg" (the default) or "gem".
        rescaling: (scale, offset) from pixels 0..255 to the network's input, each a number or one per channel. Default:
            that of the published network.
        head: "neck" (the default), "linear" or "none", see `embedding_head`.

    Returns:
        A `keras.Model` from (N, height, width, 3) pixels in 0..255 to the dict of `embedding_head`.

    Raises:
        UserError: if the images are too small for the backbone.
        ValueError: if `backbone`, `pooling` or `head` is unknown.
    """
    if backbone not in STOCK_BACKBONES:
        raise ValueError(f"Argument `backbone` must be one of {list(STOCK_BACKBONES)}. Received: backbone={backbone!r}")
    try:
        network = STOCK_BACKBONES[backbone](image_size, rescaling)
    except ValueError as error:
        if "output size" not in str(error):
            raise
        size = "x".join(map(str, image_size))
        raise UserError(f"Images of {size} pixels are too small for {backbone}; take a larger --image_size.") from error
    outputs = embedding_head(network.output, embedding_size, num_classes, pooling, head)
    return keras.Model(network.input, outputs, name=backbone)
