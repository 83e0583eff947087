"""A model's metrics on a protocol."""

import dataclasses

from keras_cdd.data.image_store import ImageStore
from keras_cdd.data.pipeline import evaluation_batches
from keras_cdd.evaluation.embed import as_embedder, embed
from keras_cdd.evaluation.metrics import rank_embeddings, rank_metrics
from keras_cdd.evaluation.rerank import reranked_distances


@dataclasses.dataclass
class Evaluator:
    """Evaluates models on a data set's query and gallery, whose images are read once.

    Args:
        dataset: `RetrievalDataset`.
        image_size: (height, width).
        batch_size: images at a time.
        rerank: k-reciprocal re-ranking.
        flip: add the mirrored image's embedding.
        strict: an unreadable image is an error.
        cache_dir, cache_gib: where images are kept that do not fit into memory, as of `ImageStore`.
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
        """(queries, D) and (gallery, D)."""
        embedder = as_embedder(model)
        stores = (self.query, self.gallery)
        return [embed(embedder, evaluation_batches(store, self.batch_size), self.flip) for store in stores]

    def evaluate(self, model):
        """`RankingMetrics` of a Keras model, or of what `load_embedder` gives."""
        return self.rank(*self.embeddings(model))

    def rank(self, query, gallery):
        """`RankingMetrics` of embeddings that are there already."""
        sides = (self.query.records, self.gallery.records)
        who = [[r.identity for r in side] for side in sides] + [[r.camera for r in side] for side in sides]
        if self.rerank:
            return rank_metrics(reranked_distances(query, gallery), *who)
        return rank_embeddings(query, gallery, *who)
