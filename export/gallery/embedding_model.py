"""A `.tflite` file that embeds images for search."""

import functools
import hashlib
import pathlib

import numpy as np

from keras_cdd.errors import MissingFileError, UserError
from keras_cdd.evaluation import load_embedder
from keras_cdd.evaluation.metrics import unit_length


class EmbeddingModel:
    """Gives unit vectors; the file is run only when it is needed.

    Args:
        path: of the file.

    Attributes:
        path: of the file.
        sha256: hex digest of its content.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no `.tflite` file.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        if not self.path.is_file():
            raise MissingFileError(f"There is no model {path}; check the path.")
        if self.path.suffix != ".tflite":
            raise UserError(f"Model {path} must be a .tflite file; to_tflite makes one of a run.")
        self.sha256 = hashlib.sha256(self.path.read_bytes()).hexdigest()
        self._vouched = None

    def vouch(self, gallery):
        """The gallery was made with this very file, so that running it is safe.

        Raises:
            ValueError: if it was made with another one.
        """
        gallery.require_model(self)
        self._vouched = self.sha256

    @functools.cached_property
    def embedder(self):
        """The running file: a `TFLiteEmbedder`.

        Raises:
            UserError: if the file is damaged or does not embed images, or if there is no interpreter for it.
        """
        return load_embedder(self.path, self._vouched)

    @property
    def image_size(self):
        """(height, width)."""
        return self.embedder.image_size

    def embed(self, pixels):
        """float32 (N, D) of length 1 for uint8 images (N, height, width, 3).

        Raises:
            ValueError: if an embedding has no direction.
        """
        embeddings = self.embedder(pixels)
        if not np.isfinite(embeddings).all() or not np.abs(embeddings).max(1).all():
            raise UserError(f"Model {self.path} gives embeddings that are zero or no numbers; train it again.")
        return unit_length(embeddings)
