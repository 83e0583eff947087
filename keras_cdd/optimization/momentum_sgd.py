"""Momentum SGD as the field's published settings mean it."""

import keras
from keras import ops

from keras_cdd.optimization.path_rates import PathRates


@keras.saving.register_keras_serializable("keras_cdd")
class MomentumSGD(PathRates, keras.optimizers.SGD):
    """`v = momentum * v + (gradient + weight_decay * w)`, then `w = w - learning_rate * v`, as torch has it.

    Keras's own SGD folds the learning rate into the velocity, which differs as soon as the rate changes, and
    decouples weight decay. Slots keep Keras's names.

    Args:
        learning_rate: number or schedule.
        momentum: of the velocity.
        coupled_weight_decay: added to the gradient of every weight, in units of the weight.
        lr_multipliers: see `PathRates`.

    Raises:
        ValueError: for Keras's `weight_decay`, which would decay a second time, decoupled.
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
        learning_rate = ops.cast(learning_rate * self.rate_factor(variable), variable.dtype)
        gradient = ops.cast(gradient, variable.dtype) + self.coupled_weight_decay * variable
        if self.momentum == 0:
            self.assign_sub(variable, learning_rate * gradient)
            return
        velocity = self.momentums[self._get_variable_index(variable)]
        self.assign(velocity, self.momentum * velocity + gradient)
        step = gradient + self.momentum * velocity if self.nesterov else velocity
        self.assign_sub(variable, learning_rate * step)

    def get_config(self):
        return {**super().get_config(), "coupled_weight_decay": self.coupled_weight_decay}
