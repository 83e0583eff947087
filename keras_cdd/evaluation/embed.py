"""From images to embeddings, with a Keras model or a TFLite file."""

import keras
import numpy as np

from keras_cdd.evaluation.keras_embedder import KerasEmbedder
from keras_cdd.evaluation.metrics import unit_length


def embed(model, batches, flip=False):
    """Embeddings (N, D) float32 of all batches.

    Args:
        model: a Keras model (of a dict of outputs the `embedding` is taken), or a function of images as
            `load_embedder` gives.
        batches: iterable of float32 images (N, H, W, 3) in 0..255.
        flip: embed the mirrored images as well and give the mean of the two, both at length 1.

    Raises:
        ValueError: if there are no images.
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
    """A Keras model as a function of images; anything else is one already."""
    return KerasEmbedder(model) if isinstance(model, keras.Model) else model
