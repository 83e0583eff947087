"""Generalized-mean pooling."""

import keras


@keras.saving.register_keras_serializable("keras_cdd")
class GeneralizedMeanPooling(keras.layers.Layer):
    """GeM: `mean(max(x, epsilon)^p)^(1/p)` over positions, with one learnable p (Radenovic et al., TPAMI 2018).

    Args:
        p: initial exponent; 1 is average pooling, infinity max pooling. Default: 3.
        epsilon: lower bound of the values. Default: 1e-6.
        **kwargs: of `keras.layers.Layer`.

    Input and output shape: (N, H, W, C) -> (N, C) float32.
    """

    def __init__(self, p=3.0, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        self.initial_p = p
        self.epsilon = epsilon

    def build(self, input_shape):
        self.p = self.add_weight(
            name="p", shape=(), initializer=keras.initializers.Constant(self.initial_p), dtype="float32"
        )

    def call(self, inputs):
        return generalized_mean(inputs, keras.ops.convert_to_tensor(self.p), self.epsilon)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])

    def get_config(self):
        return {**super().get_config(), "p": self.initial_p, "epsilon": self.epsilon}


def generalized_mean(x, p, epsilon):
    """`mean(max(x, epsilon)^p)^(1/p)` of (N, H, W, C) over positions: (N, C) float32.

    `p` is a tensor or a number; a number becomes a constant of the deployed graph.
    """
    x = keras.ops.maximum(keras.ops.cast(x, "float32"), epsilon)
    return keras.ops.power(keras.ops.mean(keras.ops.power(x, p), axis=(1, 2)), 1.0 / p)
