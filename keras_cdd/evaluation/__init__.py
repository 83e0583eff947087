"""Evaluation: embeddings, rankings and what they are worth."""

from keras_cdd.evaluation.embed import embed, load_embedder
from keras_cdd.evaluation.evaluator import Evaluator
from keras_cdd.evaluation.metrics import evaluate_ranking, rank_embeddings, rank_metrics
from keras_cdd.evaluation.ranking_metrics import RankingMetrics
from keras_cdd.evaluation.rerank import rerank, reranked_distances

__all__ = [
    "Evaluator",
    "RankingMetrics",
    "embed",
    "evaluate_ranking",
    "load_embedder",
    "rank_embeddings",
    "rank_metrics",
    "rerank",
    "reranked_distances",
]
