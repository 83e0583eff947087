"""Learning rates that depend on the path of a weight."""

import math


class PathRates:
    """Mixin for a Keras optimizer: factors on the learning rate, by the path of the weight.

    List it before the optimizer among the bases; it extends `update_step` and `get_config`.

    Args:
        lr_multipliers: substring of a weight's path -> factor on its learning rate, for example `{"head": 1.5}`; the
            factors of several matches multiply. Default: None, the same rate for all weights.
        **kwargs: of the optimizer.
    """

    def __init__(self, *args, lr_multipliers=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.lr_multipliers = dict(lr_multipliers or {})

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient, variable, learning_rate * self.rate_factor(variable))

    def rate_factor(self, variable):
        """The factor on the learning rate of a trainable variable."""
        if not self.lr_multipliers:
            return 1.0
        path = self._trainable_variables[self._get_variable_index(variable)].path
        return math.prod(factor for part, factor in self.lr_multipliers.items() if part in path)

    def get_config(self):
        return {**super().get_config(), "lr_multipliers": self.lr_multipliers}
