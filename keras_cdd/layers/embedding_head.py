"""The retrieval head: from the last feature map to features, embedding and logits."""

import keras

from keras_cdd.layers.pooling import GeneralizedMeanPooling

POOLINGS = ("avg", "gem")
HEADS = ("neck", "none", "linear")
# What the paths of a head's weights contain, and those of no other layer.
HEAD = "head"


def embedding_head(feature_map, embedding_size=512, num_classes=None, pooling="avg", head="neck"):
    """Pooling -> `features` -> head -> `embedding` -> Dense -> `logits`, in layers named `head_*`.

    Args:
        feature_map: symbolic tensor (N, H, W, C); or features (N, C), which are not pooled.
        embedding_size: length of the embedding, which is compared by cosine; 512 by default. Unused with `head="none"`.
        num_classes: number of training identities; None (the default) for a head without `logits`.
        pooling: "avg" (global average, the default) or "gem" (`GeneralizedMeanPooling`).
        head: "neck" (BN, ReLU, Dense, BN: the paper's head, the default), "linear" (a Dense without bias), or "none":
            the features are the embedding.

    Returns:
        Dict of symbolic tensors: `features` (N, C), read by the triplet loss; `embedding` (N, embedding_size), not
        normalised, with `head="none"` the same tensor as `features`; and with `num_classes` also `logits`
        (N, num_classes). `features`, `embedding` and `logits` are float32 in mixed precision, too.

    Raises:
        ValueError: if `pooling` or `head` is unknown.
    """
    if pooling not in POOLINGS:
        raise ValueError(f"Argument `pooling` must be one of {POOLINGS}. Received: pooling={pooling!r}")
    if head not in HEADS:
        raise ValueError(f"Argument `head` must be one of {HEADS}. Received: head={head!r}")
    layers = keras.layers
    pool = layers.GlobalAveragePooling2D if pooling == "avg" else GeneralizedMeanPooling
    if len(feature_map.shape) == 2:
        # Nothing but the cast to float32.
        features = layers.Activation("linear", name="head_pool", dtype="float32")(feature_map)
    else:
        features = pool(name="head_pool", dtype="float32")(feature_map)
    embedding = _EMBEDDING[head](features, embedding_size)
    outputs = {"features": features, "embedding": embedding}
    if num_classes:
        small = keras.initializers.RandomNormal(stddev=0.001)
        outputs["logits"] = layers.Dense(
            num_classes, use_bias=False, kernel_initializer=small, name="head_logits", dtype="float32"
        )(embedding)
    return outputs


def _neck(features, embedding_size):
    bn = {"momentum": 0.9, "epsilon": 1e-5}
    x = keras.layers.BatchNormalization(name="head_bn1", **bn)(features)
    x = keras.layers.ReLU(name="head_relu")(x)
    x = _dense(embedding_size)(x)
    return keras.layers.BatchNormalization(name="head_bn2", dtype="float32", **bn)(x)


def _dense(embedding_size, **options):
    return keras.layers.Dense(
        embedding_size, use_bias=False, kernel_initializer="he_normal", name="head_dense", **options
    )


_EMBEDDING = {
    "neck": _neck,
    "none": lambda features, embedding_size: features,
    "linear": lambda features, embedding_size: _dense(embedding_size, dtype="float32")(features),
}
