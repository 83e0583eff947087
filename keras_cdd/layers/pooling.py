"""Pooling that retrieval networks use beside the plain average."""

import keras


@keras.saving.register_keras_serializable("keras_cdd")
class GeneralizedMeanPooling(keras.layers.Layer):
    """GeM: `mean(max(x, epsilon)^p)^(1/p)` over positions, p learnable (Radenovic et al., TPAMI 2018).

    Input and output: (N, H, W, C) -> (N, C).
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
    """The formula, computed in float32; `p` may be a number, so that a deployed graph holds it as a constant."""
    x = keras.ops.maximum(keras.ops.cast(x, "float32"), epsilon)
    return keras.ops.power(keras.ops.mean(keras.ops.power(x, p), axis=(1, 2)), 1.0 / p)
