"""Evaluation: embeddings, rankings and their metrics."""

from keras_cdd.evaluation.metrics import evaluate_ranking, rank_embeddings, rank_metrics
from keras_cdd.evaluation.model_file import load_embedder
from keras_cdd.evaluation.ranking_metrics import RankingMetrics
from keras_cdd.keras_backend import has_keras

__all__ = ["RankingMetrics", "evaluate_ranking", "load_embedder", "rank_embeddings", "rank_metrics"]

# Embedding with TFLite files and ranking need neither Keras nor TensorFlow nor SciPy.
if has_keras():
    from keras_cdd.evaluation.embed import embed
    from keras_cdd.evaluation.evaluator import Evaluator
    from keras_cdd.evaluation.rerank import rerank, reranked_distances

    __all__ += ["Evaluator", "embed", "rerank", "reranked_distances"]
