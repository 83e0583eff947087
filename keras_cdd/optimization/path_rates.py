"""Learning rates that depend on the path of a weight."""

import math

from keras_cdd.models.graph import place_in_optimizer


class PathRates:
    """Mixin for a Keras optimizer: factors on the learning rate, by the path of the weight.

    List it before the optimizer among the bases; it extends `build`, `update_step` and `get_config`.

    Args:
        lr_multipliers: substring of a weight's path -> factor on its learning rate, for example `{"head": 1.5}`; the
            factors of several matches multiply. A substring that starts with a slash also matches at the start of the
            path: `"/head_"` finds `head_dense/kernel` and `model/head_dense/kernel`, but no `multi_head_attention`.
            Default: None, the same rate for all weights.
        other_lr_multiplier: factor on the learning rate of a weight whose path has no such substring. Default: 1.
        **kwargs: of the optimizer.
    """

    def __init__(self, *args, lr_multipliers=None, other_lr_multiplier=1.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.lr_multipliers = dict(lr_multipliers or {})
        self.other_lr_multiplier = other_lr_multiplier
        self._paths = []

    def build(self, variables):
        if not self.built:
            # Variables of TensorFlow have no path.
            self._paths = [f"/{getattr(variable, 'path', variable.name)}" for variable in variables]
        super().build(variables)

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient, variable, learning_rate * self.rate_factor(variable))

    def rate_factor(self, variable):
        """The factor on the learning rate of a trainable variable."""
        if not self.lr_multipliers:
            return self.other_lr_multiplier
        path = self._paths[place_in_optimizer(self, variable)]
        factors = [factor for part, factor in self.lr_multipliers.items() if part in path]
        return math.prod(factors) if factors else self.other_lr_multiplier

    def get_config(self):
        factors = {"lr_multipliers": self.lr_multipliers, "other_lr_multiplier": self.other_lr_multiplier}
        return {**super().get_config(), **factors}
