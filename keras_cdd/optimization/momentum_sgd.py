"""Momentum SGD as torch defines it, for which published settings are meant."""

import keras
from keras import ops

from keras_cdd.models.graph import place_in_optimizer
from keras_cdd.optimization.path_rates import PathRates
from keras_cdd.optimization.weight_averages import WeightAverages


@keras.saving.register_keras_serializable("keras_cdd")
class MomentumSGD(WeightAverages, PathRates, keras.optimizers.SGD):
    """`v = momentum * v + (gradient + decay * w)`, then `w = w - learning_rate * v`, as in torch.

    Keras's SGD multiplies the learning rate into the velocity, which gives other steps as soon as the rate changes,
    and its weight decay is decoupled. Slots have the names that Keras gives them.

    Args:
        learning_rate: number or `LearningRateSchedule`. Default: 0.01.
        momentum: factor on the velocity in every step. Default: 0.9.
        coupled_weight_decay: factor of the weight that is added to its gradient, for every weight. Default: 0.
        lr_multipliers: see `PathRates`. Default: none.
        name: of the optimizer.
        **kwargs: of `keras.optimizers.SGD`, except `weight_decay`, and of `PathRates` and `WeightAverages`.

    Raises:
        ValueError: for a `weight_decay`, Keras's decoupled one, which would come on top.
    """

    def __init__(
        self,
        learning_rate=0.01,
        momentum=0.9,
        coupled_weight_decay=0.0,
        lr_multipliers=None,
        name="sgd",
        **kwargs,
    ):
        if kwargs.get("weight_decay") is not None:
            raise ValueError(
                "Argument `weight_decay` is Keras's decoupled one; use `coupled_weight_decay`. "
                f"Received: weight_decay={kwargs['weight_decay']}"
            )
        super().__init__(
            learning_rate=learning_rate, momentum=momentum, lr_multipliers=lr_multipliers, name=name, **kwargs
        )
        self.coupled_weight_decay = coupled_weight_decay

    def update_step(self, gradient, variable, learning_rate):
        self._move(gradient, variable, learning_rate)
        self.update_average(variable)

    def _move(self, gradient, variable, learning_rate):
        factor = self.rate_factor(variable)
        learning_rate = ops.cast(learning_rate if factor == 1 else learning_rate * factor, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype) + self.coupled_weight_decay * ops.convert_to_tensor(variable)
        if self.momentum == 0:
            self.assign_sub(variable, learning_rate * gradient)
            return
        velocity = self.momentums[place_in_optimizer(self, variable)]
        moved = self.momentum * ops.convert_to_tensor(velocity) + gradient
        self.assign(velocity, moved)
        step = gradient + self.momentum * moved if self.nesterov else moved
        self.assign_sub(variable, learning_rate * step)

    def get_config(self):
        return {**super().get_config(), "coupled_weight_decay": self.coupled_weight_decay}
