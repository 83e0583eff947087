"""Moving averages of the weights."""

from keras import ops

from keras_cdd.models.graph import place_in_optimizer


class WeightAverages:
    """Mixin for a Keras optimizer: an exponential moving average of every weight (Polyak and Juditsky, 1992).

    After update n (from 0) an average moves towards its weight by `1 - min(average_decay, (1 + n) / (10 + n))`, so that
    the initial weights are soon forgotten. The averages are slots called `average`. Keras's own `use_ema` does not fit
    a training of several calls of `fit`, since each call ends by replacing the weights.

    List it before the optimizer among the bases. A subclass whose `update_step` does not call that of its bases calls
    `update_average` itself.

    Args:
        average_decay: at least 0 and below 1. Default: None, no averages.
        **kwargs: of the optimizer.
    """

    def __init__(self, *args, average_decay=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.average_decay = average_decay
        self._averages = []

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        if self.average_decay is None:
            return
        for variable in variables:
            average = self.add_variable_from_reference(variable, name="average")
            average.assign(variable)
            self._averages.append(average)

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient, variable, learning_rate)
        self.update_average(variable)

    def update_average(self, variable):
        """Moves the average of a weight that has just been updated."""
        if self.average_decay is None:
            return
        average = self._averages[place_in_optimizer(self, variable)]
        done = ops.cast(self.iterations, "float32")
        decay = ops.cast(ops.minimum(self.average_decay, (1.0 + done) / (10.0 + done)), variable.dtype)
        self.assign_add(average, (1.0 - decay) * (ops.convert_to_tensor(variable) - ops.convert_to_tensor(average)))

    def use_averages(self, variables):
        """Replaces the weights by their averages; without averages, they stay as they are.

        Args:
            variables: the weights for which the optimizer was built, in the same order.
        """
        if self.average_decay is not None:
            for variable, average in zip(variables, self._averages, strict=True):
                variable.assign(average)

    def get_config(self):
        return {**super().get_config(), "average_decay": self.average_decay}
