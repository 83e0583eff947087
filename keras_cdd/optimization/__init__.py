"""Optimizers with learning rates by path, and the learning-rate schedules of the paper."""

from keras_cdd.optimization.adam import Adam
from keras_cdd.optimization.adam_w import AdamW
from keras_cdd.optimization.momentum_sgd import MomentumSGD
from keras_cdd.optimization.schedules import WarmupCosine, WarmupMultiStep
from keras_cdd.optimization.tables import OPTIMIZERS, SCHEDULES

__all__ = ["Adam", "AdamW", "MomentumSGD", "OPTIMIZERS", "SCHEDULES", "WarmupCosine", "WarmupMultiStep"]
