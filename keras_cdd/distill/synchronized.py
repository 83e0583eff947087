"""BatchNorms that see the images of all replicas."""

import contextlib
from collections.abc import Iterable, Iterator

import keras

from keras_cdd.replicas import several


@contextlib.contextmanager
def synchronized(layers: Iterable[keras.layers.Layer]) -> Iterator[None]:
    """A context in which BatchNorms normalise, while they train, by the statistics of the images of all replicas.

    It lasts for a step alone, so that saved models do not depend on where they were trained.

    Args:
        layers: of which those that are no `BatchNormalization` are ignored.
    """
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization) and not layer.synchronized]
    changed = norms if several() else []
    try:
        for norm in changed:
            norm.synchronized = True
        yield
    finally:
        for norm in changed:
            norm.synchronized = False
