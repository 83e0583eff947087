"""Distillation: the training step, and the parts of training that it calls."""

from keras_cdd.distill.bn_reestimate import reestimate_batch_norm
from keras_cdd.distill.channel_fade import ChannelFade
from keras_cdd.distill.compression_rule import COMPRESSIONS, CompressionRule
from keras_cdd.distill.distiller import Distiller
from keras_cdd.distill.embedding_queue import EmbeddingQueue
from keras_cdd.distill.fisher_score import FisherScore
from keras_cdd.distill.gradient_reset import GradientReset
from keras_cdd.distill.part import Part
from keras_cdd.distill.strategies import STRATEGIES

__all__ = [
    "COMPRESSIONS",
    "STRATEGIES",
    "ChannelFade",
    "CompressionRule",
    "Distiller",
    "EmbeddingQueue",
    "FisherScore",
    "GradientReset",
    "Part",
    "reestimate_batch_norm",
]
