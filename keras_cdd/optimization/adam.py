"""Adam with learning rates by path."""

import keras

from keras_cdd.optimization.path_rates import PathRates


@keras.saving.register_keras_serializable("keras_cdd")
class Adam(PathRates, keras.optimizers.Adam):
    """Keras's Adam (Kingma and Ba, 2015) with `lr_multipliers`, see `PathRates`; arguments and slots are Keras's."""
