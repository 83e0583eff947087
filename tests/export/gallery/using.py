"""A gallery as a search uses it."""

import numpy as np

from export.gallery.gallery import Gallery
from export.gallery.search import top_k


def use(path):
    """The calls of a search in a gallery, and of what follows it."""
    with Gallery(path) as gallery:
        vectors = gallery.vectors()
        if len(vectors):
            positions, similarities = top_k(vectors, np.eye(1, gallery.format.embedding_size), 5)
            assert np.isfinite(similarities).all()
            for image in gallery.images(vectors.ids[positions[0]]):
                image.picture()
        gallery.labels()
        gallery.check()
