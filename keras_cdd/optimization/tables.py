"""The optimizers and learning-rate schedules of the flags; a new one is a class and a row."""

from keras_cdd.optimization.adam import Adam
from keras_cdd.optimization.adam_w import AdamW
from keras_cdd.optimization.momentum_sgd import MomentumSGD
from keras_cdd.optimization.schedules import WarmupCosine, WarmupMultiStep

# Name -> function of (learning rate, momentum, weight decay) and arguments of the optimizer; unused ones are ignored.
OPTIMIZERS = {
    "sgd": lambda rate, momentum, decay, **options: MomentumSGD(rate, momentum, decay, **options),
    "adam": lambda rate, momentum, decay, **options: Adam(rate, **options),
    "adamw": lambda rate, momentum, decay, **options: AdamW(rate, decay, **options),
}
SCHEDULES = {"cosine": WarmupCosine, "multistep": WarmupMultiStep}
