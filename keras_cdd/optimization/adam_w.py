"""AdamW with learning rates by path."""

import keras
from keras import ops

from keras_cdd.optimization.path_rates import PathRates
from keras_cdd.optimization.weight_averages import WeightAverages


@keras.saving.register_keras_serializable("keras_cdd")
class AdamW(WeightAverages, PathRates, keras.optimizers.Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019) and `lr_multipliers`, see `PathRates`.

    Before each step a weight becomes `w - rate * weight_decay * w` with the weight's own learning rate, as in torch;
    Keras's AdamW uses the same rate for all weights. Slots have the names that Keras gives them.

    Args:
        learning_rate: number or `LearningRateSchedule`. Default: 0.001.
        weight_decay: factor on the weight, multiplied by the learning rate; at least 0. Default: 0.004.
        name: of the optimizer.
        **kwargs: of `keras.optimizers.Adam`, `PathRates` and `WeightAverages`.
    """

    def __init__(self, learning_rate=0.001, weight_decay=0.004, name="adamw", **kwargs):
        # Keras must not know the decay: it would apply it with the same rate for all weights.
        super().__init__(learning_rate=learning_rate, weight_decay=None, name=name, **kwargs)
        self.decoupled_weight_decay = weight_decay

    def update_step(self, gradient, variable, learning_rate):
        rate = ops.cast(learning_rate * self.rate_factor(variable), variable.dtype)
        self.assign_sub(variable, variable * self.decoupled_weight_decay * rate)
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "weight_decay": self.decoupled_weight_decay}
