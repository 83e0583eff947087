"""A model file that embeds images for search."""

import functools
import hashlib
import pathlib

import numpy as np

from keras_cdd.errors import MissingFileError, UserError
from keras_cdd.evaluation import load_embedder
from keras_cdd.evaluation.metrics import unit_length
from keras_cdd.keras_backend import has_keras


class EmbeddingModel:
    """Embeds images as unit vectors; the file is loaded at the first use.

    Args:
        path: path of a `.tflite` file; or of a `.keras` file, such as a teacher, which needs TensorFlow.

    Attributes:
        path: `pathlib.Path` of the file.
        sha256: hex digest of its content.

    Raises:
        MissingFileError: if there is no such file.
        UserError: if its name ends in neither `.tflite` nor `.keras`.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        if not self.path.is_file():
            raise MissingFileError(f"There is no model {path}; check the path.")
        if self.path.suffix not in (".tflite", ".keras"):
            raise UserError(f"Model {path} must be a .tflite file; to_tflite makes one of a run.")
        self.sha256 = hashlib.sha256(self.path.read_bytes()).hexdigest()
        self._vouched = None

    def vouch(self, gallery, adds=False):
        """Checks that the gallery was built with this file, which is then loaded without a trial in another process.

        Args:
            gallery: `Gallery`.
            adds: whether the model shall embed images of the gallery; by default it embeds queries.

        Raises:
            UserError: if the gallery was built with another model.
        """
        gallery.require_model(self, adds)
        self._vouched = self.sha256

    @functools.cached_property
    def embedder(self):
        """The loaded file, a `TFLiteEmbedder` or `KerasEmbedder`.

        Raises:
            UserError: if the file is damaged or does not embed images of one size, or if what runs it is not installed.
        """
        if self.path.suffix == ".keras" and not has_keras():
            raise UserError(
                f"Model {self.path} needs TensorFlow; pip install tensorflow keras, or give a .tflite file."
            )
        embedder = load_embedder(self.path, self._vouched)
        if None in embedder.image_size:
            raise UserError(f"Model {self.path} takes images of any size; save it with one height and width.")
        return embedder

    @property
    def image_size(self):
        """(height, width) of the input in pixels."""
        return self.embedder.image_size

    def embed(self, pixels):
        """Embeds uint8 images (N, height, width, 3) as float32 unit vectors (N, D).

        Raises:
            UserError: if an embedding is zero or not finite.
        """
        embeddings = self.embedder(pixels)
        if not np.isfinite(embeddings).all() or not np.abs(embeddings).max(1).all():
            raise UserError(f"Model {self.path} gives embeddings that are zero or no numbers; train it again.")
        return unit_length(embeddings)
