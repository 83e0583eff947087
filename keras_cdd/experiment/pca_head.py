"""The start of a linear head: the principal axes of the pooled features."""

import keras
import numpy as np

from keras_cdd.evaluation.keras_embedder import KerasEmbedder

BATCH = 64


def start_by_pca(model, images):
    """Sets the kernel of a linear head so that it keeps as much of the features' variance as its length allows.

    An embedding at least as long as the features has the same cosines as they; what is longer is zero. Features of a
    backbone with pretrained weights are then as good before training as a projection can make them.

    Args:
        model: retrieval model with a linear `head_dense` on its output `features`, see `embedding_head`; changed in
            place.
        images: (N, height, width, 3) in 0..255.
    """
    extract = KerasEmbedder(keras.Model(model.inputs[0], model.output["features"]))
    features = np.concatenate([extract(images[start : start + BATCH]) for start in range(0, len(images), BATCH)])
    kernel = model.get_layer("head_dense").kernel
    kernel.assign(principal_axes(features, kernel.shape[1]))


def principal_axes(features, count):
    """The principal axes of features, largest variance first, each with a positive sum.

    Args:
        features: (N, C).
        count: number of axes; those beyond C are zero.

    Returns:
        float32 (C, count), orthonormal columns.
    """
    features = np.asarray(features, np.float64)
    centred = features - features.mean(axis=0)
    # Of the covariance, so that there are C axes with fewer than C images, too.
    _, _, axes = np.linalg.svd(centred.T @ centred)
    axes = axes[:count] * np.where(axes[:count].sum(axis=1, keepdims=True) < 0, -1.0, 1.0)
    padded = np.zeros((count, features.shape[1]), np.float32)
    padded[: len(axes)] = axes
    return padded.T
