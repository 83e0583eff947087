"""The optimizers and learning-rate schedules of the flags; a new one is a class and a row."""

from keras_cdd.optimization.adam import Adam
from keras_cdd.optimization.adam_w import AdamW
from keras_cdd.optimization.momentum_sgd import MomentumSGD
from keras_cdd.optimization.schedules import WarmupCosine, WarmupMultiStep

# Name -> function of (learning rate, momentum, weight decay, factors on the rate by path); unused ones are ignored.
OPTIMIZERS = {
    "sgd": lambda rate, momentum, decay, multipliers: MomentumSGD(rate, momentum, decay, multipliers),
    "adam": lambda rate, momentum, decay, multipliers: Adam(rate, lr_multipliers=multipliers),
    "adamw": lambda rate, momentum, decay, multipliers: AdamW(rate, decay, lr_multipliers=multipliers),
}
SCHEDULES = {"cosine": WarmupCosine, "multistep": WarmupMultiStep}
