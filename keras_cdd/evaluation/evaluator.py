"""The metrics of a model on an evaluation protocol."""

import dataclasses

from keras_cdd.data.image_store import ImageStore
from keras_cdd.data.pipeline import evaluation_batches
from keras_cdd.evaluation.embed import as_embedder, embed
from keras_cdd.evaluation.metrics import rank_embeddings, rank_metrics
from keras_cdd.evaluation.rerank import reranked_distances


@dataclasses.dataclass
class Evaluator:
    """Evaluates models on the query and gallery images of a data set, which are read once.

    Args:
        dataset: `RetrievalDataset`.
        image_size: (height, width) in pixels to which the images are resized.
        batch_size: images per forward pass. Default: 128.
        rerank: apply k-reciprocal re-ranking. Default: False.
        flip: average the embeddings of an image and its mirror image. Default: False.
        strict: raise an error for an unreadable image instead of reporting and skipping it. Default: False.
        cache_dir, cache_gib: folder for decoded images that do not fit into memory and its limit in GiB, see
            `ImageStore`. Default: None (no folder) and 64.

    Attributes:
        query, gallery: `ImageStore` of either side.

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

    def __post_init__(self):
        self.dataset.validate(("query", "gallery"))
        parts = (self.dataset.query, self.dataset.gallery)
        self.query, self.gallery = (
            ImageStore(records, self.image_size, self.strict, cache_dir=self.cache_dir, cache_gib=self.cache_gib)
            for records in parts
        )

    def embeddings(self, model):
        """Embeddings of both sides by a model as `embed` takes it: [(queries, D), (gallery, D)], float32."""
        embedder = as_embedder(model)
        stores = (self.query, self.gallery)
        return [embed(embedder, evaluation_batches(store, self.batch_size), self.flip) for store in stores]

    def evaluate(self, model):
        """`RankingMetrics` of a Keras model, or of an embedder that `load_embedder` returned."""
        return self.rank(*self.embeddings(model))

    def rank(self, query, gallery):
        """`RankingMetrics` of given embeddings, query (queries, D) and gallery (gallery, D)."""
        sides = (self.query.records, self.gallery.records)
        who = [[r.identity for r in side] for side in sides] + [[r.camera for r in side] for side in sides]
        if self.rerank:
            return rank_metrics(reranked_distances(query, gallery), *who)
        return rank_embeddings(query, gallery, *who)
