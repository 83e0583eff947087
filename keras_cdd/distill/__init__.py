"""Distillation: the training step, the teacher's memory, the gradient reset."""

from keras_cdd.distill.bn_reestimate import reestimate_batch_norm
from keras_cdd.distill.channel_fade import ChannelFade
from keras_cdd.distill.distiller import COMPRESSIONS, Distiller
from keras_cdd.distill.embedding_queue import EmbeddingQueue
from keras_cdd.distill.fisher_score import FisherScore
from keras_cdd.distill.gradient_reset import GradientReset
from keras_cdd.distill.loss_weights import LossWeights

__all__ = [
    "COMPRESSIONS",
    "ChannelFade",
    "Distiller",
    "EmbeddingQueue",
    "FisherScore",
    "GradientReset",
    "LossWeights",
    "reestimate_batch_norm",
]
