"""A foreign model that wants its pixels in another range (NumPy)."""

import numpy as np


class RescaledEmbedder:
    """Calls an embedder with rescaled pixels.

    Args:
        embedder: function of images (N, height, width, 3) with an `image_size` and an `embedding_size`.
        scale, offset: the embedder gets `pixels * scale + offset` of pixels in 0..255.

    Attributes:
        embedder: the given one.
        image_size: (height, width) in pixels.
        embedding_size: D.
    """

    def __init__(self, embedder, scale, offset):
        self.embedder, self._scale, self._offset = embedder, np.float32(scale), np.float32(offset)
        self.image_size, self.embedding_size = embedder.image_size, embedder.embedding_size

    def __call__(self, images):
        """Embeddings (N, D) float32, not normalised, of images (N, height, width, 3) in 0..255."""
        return self.embedder(np.asarray(images, np.float32) * self._scale + self._offset)
