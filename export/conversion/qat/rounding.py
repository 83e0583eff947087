"""Tells tfmot which tensors of a layer to round to 8 bits."""

import tensorflow_model_optimization as tfmot
import tf_keras

_quantizers = tfmot.quantization.keras.quantizers


class Rounding(tfmot.quantization.keras.QuantizeConfig):
    """Rounds a layer's kernel, its output, both or neither.

    Args:
        weights: whether to round the kernel.
        output: whether to round the output, with one scale whose range is a moving average.
    """

    def __init__(self, weights, output):
        self._weights = weights
        self._output = output

    def get_weights_and_quantizers(self, layer):
        if not self._weights:
            return []
        # As the converter does: one scale per output of a convolution, one scale for a whole dense kernel.
        whole = _quantizers.LastValueQuantizer(num_bits=8, per_axis=False, symmetric=True, narrow_range=True)
        return [(layer.kernel, whole if isinstance(layer, tf_keras.layers.Dense) else _ScalePerOutput())]

    def set_quantize_weights(self, layer, quantize_weights):
        if self._weights:
            (layer.kernel,) = quantize_weights

    def get_activations_and_quantizers(self, layer):
        return []

    def set_quantize_activations(self, layer, quantize_activations):
        pass

    def get_output_quantizers(self, layer):
        kind = {"num_bits": 8, "per_axis": False, "symmetric": False, "narrow_range": False}
        return [_quantizers.MovingAverageQuantizer(**kind)] if self._output else []

    def get_config(self):
        return {"weights": self._weights, "output": self._output}


class _ScalePerOutput(_quantizers.LastValueQuantizer):
    """Rounds to -127..127 with one scale per output channel; tfmot's class cannot infer the number of channels."""

    def __init__(self):
        super().__init__(num_bits=8, per_axis=True, symmetric=True, narrow_range=True)

    def build(self, tensor_shape, name, layer):
        def ends(end, value):
            start = tf_keras.initializers.Constant(value)
            return layer.add_weight(f"{name}_{end}", shape=tensor_shape[-1:], initializer=start, trainable=False)

        return {"min_var": ends("min", -6.0), "max_var": ends("max", 6.0)}
