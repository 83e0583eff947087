"""Adam with learning rates by path."""

import keras

from keras_cdd.optimization.path_rates import PathRates


@keras.saving.register_keras_serializable("keras_cdd")
class Adam(PathRates, keras.optimizers.Adam):
    """Keras's Adam (Kingma and Ba, 2015) that knows `lr_multipliers`, see `PathRates`; slots keep Keras's names."""
