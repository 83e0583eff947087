"""Loss functions: pure, computed in float32 for every input type, with finite gradients everywhere."""

from keras_cdd.losses.compression import compression_gradient, compression_loss, proximal_step
from keras_cdd.losses.distillation import (
    embedding_distillation_loss,
    feature_distillation_loss,
    logit_distillation_loss,
    relation_distillation_loss,
)
from keras_cdd.losses.identity import identity_loss
from keras_cdd.losses.table import LOSSES, LossWeights
from keras_cdd.losses.triplet import triplet_loss

__all__ = [
    "LOSSES",
    "LossWeights",
    "compression_gradient",
    "compression_loss",
    "embedding_distillation_loss",
    "feature_distillation_loss",
    "identity_loss",
    "logit_distillation_loss",
    "proximal_step",
    "relation_distillation_loss",
    "triplet_loss",
]
