"""Adam with learning rates by path."""

import keras

from keras_cdd.optimization.path_rates import PathRates
from keras_cdd.optimization.weight_averages import WeightAverages


@keras.saving.register_keras_serializable("keras_cdd")
class Adam(WeightAverages, PathRates, keras.optimizers.Adam):
    """Keras's Adam (Kingma and Ba, 2015), with the arguments of `PathRates` and `WeightAverages`.

    Other arguments and slots are Keras's.
    """
