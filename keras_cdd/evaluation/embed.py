"""Embeddings of images by a Keras model or a TFLite file."""

import keras
import numpy as np

from keras_cdd.evaluation.keras_embedder import KerasEmbedder
from keras_cdd.evaluation.metrics import unit_length


def embed(model, batches, flip=False):
    """Embeds all images of some batches.

    Args:
        model: a Keras model with an `embedding` among its outputs or as its only output, or a function of images as
            `load_embedder` returns.
        batches: iterable of images (N, H, W, 3) float32 in 0..255.
        flip: also embed the mirrored images and take the mean of the two embeddings, each normalised first.
            Default: False.

    Returns:
        (N, D) float32, all batches together; not normalised.

    Raises:
        ValueError: if there are no batches, or the model does not embed images.
    """
    compute = as_embedder(model)
    parts = []
    for images in batches:
        embedding = compute(images)
        if flip:
            embedding = (unit_length(embedding) + unit_length(compute(images[:, :, ::-1]))) / 2
        parts.append(np.asarray(embedding, np.float32))
    if not parts:
        raise ValueError("Argument `batches` must hold images. Received: no batch")
    return np.concatenate(parts)


def as_embedder(model):
    """A Keras model as a `KerasEmbedder`; any other function of images is returned as it is."""
    return KerasEmbedder(model) if isinstance(model, keras.Model) else model
