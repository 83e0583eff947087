"""From images to embeddings, with a Keras model or a TFLite file."""

import pathlib
import zipfile

import keras
import numpy as np

from keras_cdd.evaluation.keras_embedder import KerasEmbedder
from keras_cdd.evaluation.metrics import unit_length
from keras_cdd.evaluation.tflite_embedder import TFLiteEmbedder


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


def load_embedder(path):
    """A `.keras` or `.tflite` file as a function of images, with `image_size` (height, width) as attribute.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no model, is damaged, or does not embed images.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no model {path}; check the path.")
    if path.suffix not in (".keras", ".tflite"):
        raise ValueError(f"Model {path} must be a .keras or .tflite file.")
    try:
        if path.suffix == ".tflite":
            return TFLiteEmbedder(path)
        if not zipfile.is_zipfile(path):
            # Keras would say that there is no such file.
            raise ValueError("it is no complete .keras archive")
        return KerasEmbedder(keras.saving.load_model(path, compile=False))
    except ImportError:
        raise
    except Exception as error:
        # A damaged file can fail anywhere: in zipfile, json, h5py, a layer, the interpreter.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"Model {path} cannot be used: {reason[:300]}; export or train it again.") from error
