"""The optimizer and the learning-rate schedules of the paper."""

from keras_cdd.optimization.momentum_sgd import MomentumSGD
from keras_cdd.optimization.schedules import WarmupCosine, WarmupMultiStep

__all__ = ["MomentumSGD", "WarmupCosine", "WarmupMultiStep"]
