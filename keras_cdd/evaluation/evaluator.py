"""The metrics of a model on an evaluation protocol."""

import dataclasses

import numpy as np

from keras_cdd.data.image_store import ImageStore
from keras_cdd.data.pipeline import evaluation_batches
from keras_cdd.evaluation.embed import as_embedder, embed
from keras_cdd.evaluation.metrics import rank_embeddings, rank_metrics
from keras_cdd.evaluation.rerank import reranked_distances


@dataclasses.dataclass
class Evaluator:
    """Evaluates models on the query and gallery images of a data set, which are read once.

    In asymmetric search one model embeds the queries and another the gallery, such as a student on the phone and its
    teacher on the server; their embeddings must have equal lengths and be comparable.

    Args:
        dataset: `RetrievalDataset`.
        image_size: (height, width) in pixels to which the images are resized.
        batch_size: images per forward pass. Default: 128.
        rerank: apply k-reciprocal re-ranking. Default: False.
        flip: average the embeddings of an image and its mirror image. Default: False.
        strict: raise an error for an unreadable image instead of reporting and skipping it. Default: False.
        cache_dir, cache_gib: folder for decoded images that do not fit into memory and its limit in GiB, see
            `ImageStore`. Default: None (no folder) and 64.
        gallery_size: (height, width) in pixels of the gallery images. Default: `image_size`.
        gallery_embeddings: embeddings (gallery, D) of the gallery, which is then not read. Default: None.

    Attributes:
        query, gallery: `ImageStore` of either side; no gallery with `gallery_embeddings`.

    Raises:
        ValueError: if query or gallery are empty, or if the gallery has cameras and a query has none; with
            `strict` also for an unreadable image.
    """

    dataset: object
    image_size: tuple
    batch_size: int = 128
    rerank: bool = False
    flip: bool = False
    strict: bool = False
    cache_dir: str | None = None
    cache_gib: float = 64.0
    gallery_size: tuple | None = None
    gallery_embeddings: np.ndarray | None = None

    def __post_init__(self):
        self.dataset.validate(("query", "gallery"))
        self.query = self._store(self.dataset.query, self.image_size)
        if self.gallery_embeddings is None:
            self.gallery = self._store(self.dataset.gallery, self.gallery_size or self.image_size)

    def _store(self, records, size):
        return ImageStore(records, size, self.strict, cache_dir=self.cache_dir, cache_gib=self.cache_gib)

    def embeddings(self, model, gallery_model=None):
        """Embeddings of both sides: [(queries, D), (gallery, D)], float32.

        Args:
            model: a model as `embed` takes it.
            gallery_model: another one for the gallery. Default: `model`, unless `gallery_embeddings` are given.
        """
        embedder = as_embedder(model)
        query = self._embedded(embedder, self.query)
        if self.gallery_embeddings is not None:
            return [query, self.gallery_embeddings]
        return [query, self._embedded(embedder if gallery_model is None else as_embedder(gallery_model), self.gallery)]

    def _embedded(self, embedder, store):
        return embed(embedder, evaluation_batches(store, self.batch_size), self.flip)

    def evaluate(self, model, gallery_model=None):
        """`RankingMetrics` of a Keras model, or of an embedder that `load_embedder` returned; see `embeddings`."""
        return self.rank(*self.embeddings(model, gallery_model))

    def rank(self, query, gallery):
        """`RankingMetrics` of given embeddings, query (queries, D) and gallery (gallery, D).

        Raises:
            ValueError: if the two sides have embeddings of different lengths.
        """
        if query.shape[1] != gallery.shape[1]:
            raise ValueError(
                "Arguments `query` and `gallery` must hold embeddings of equal length. "
                f"Received: {query.shape[1]} and {gallery.shape[1]}"
            )
        sides = (
            self.query.records,
            self.dataset.gallery if self.gallery_embeddings is not None else self.gallery.records,
        )
        who = [[r.identity for r in side] for side in sides] + [[r.camera for r in side] for side in sides]
        if self.rerank:
            return rank_metrics(reranked_distances(query, gallery), *who)
        return rank_embeddings(query, gallery, *who)
