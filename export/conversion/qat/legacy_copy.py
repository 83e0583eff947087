"""Rebuilds a Keras 3 graph in tf_keras (Keras 2), which quantization-aware training needs."""

import keras
import tf_keras

from keras_cdd.errors import UserError
from keras_cdd.models.graph import embedding_graph

# The arguments to copy from each layer. All others have the same default in both, or do not matter in inference.
_ARGUMENTS = {
    "Activation": ("activation",),
    "Add": (),
    "BatchNormalization": ("epsilon", "center", "scale"),
    "Concatenate": ("axis",),
    "Conv2D": ("filters", "kernel_size", "strides", "padding", "dilation_rate", "groups", "activation", "use_bias"),
    "Cropping2D": ("cropping",),
    "Dense": ("units", "activation", "use_bias"),
    "DepthwiseConv2D": ("kernel_size", "strides", "padding", "activation", "use_bias"),
    "Flatten": (),
    "GlobalAveragePooling2D": (),
    "MaxPooling2D": ("pool_size", "strides", "padding"),
    "ReLU": ("max_value", "negative_slope", "threshold"),
    "ZeroPadding2D": ("padding",),
}


def legacy_copy(model, outside=("Rescaling",)):
    """Copies graph, names and weights to a tf_keras model.

    Operations that are not layers (the powers of generalized-mean pooling) become `FloatOperation` layers.

    Args:
        model: functional Keras 3 model with one input, and one output or a dict with an `embedding`.
        outside: names of layer classes to leave out at the start of the model; the copy takes their output. Default:
            `Rescaling`.

    Returns:
        `(copy, start)`: the tf_keras model, and a Keras 3 model of the layers that were left out.

    Raises:
        UserError: if a layer has no supported counterpart in tf_keras.
    """
    graph = embedding_graph(model)
    (first,), made, left_out = keras.tree.flatten(graph.inputs), {}, []
    for call in graph.calls:
        if type(call.operation).__name__ in outside and call.inputs[0] is first:
            first = call.output
            left_out.append(call.operation)
            continue
        if not made:
            made[id(first)] = tf_keras.Input(first.shape[1:], name="pixels")
        made[id(call.output)] = _call(call, [made[id(tensor)] for tensor in call.inputs])
    (output,) = keras.tree.flatten(graph.outputs)
    return tf_keras.Model(made[id(first)], made[id(output)]), _chain(model.inputs[0].shape[1:], left_out)


def _chain(shape, layers):
    """A Keras 3 model that calls layers one after the other; there may be none."""
    x = inputs = keras.Input(shape)
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x)


def _call(call, inputs):
    layer, kind = call.operation, type(call.operation).__name__
    inputs = inputs[0] if len(inputs) == 1 else inputs
    if not isinstance(layer, keras.layers.Layer):
        return FloatOperation(FloatOperation.remember(call), name=layer.name)(inputs)
    if kind not in _ARGUMENTS:
        raise UserError(f"Layer {layer.name} ({kind}) cannot be trained quantization-aware; use --precision=int8.")
    config = layer.get_config()
    copy = getattr(tf_keras.layers, kind)(**{name: config[name] for name in _ARGUMENTS[kind]}, name=layer.name)
    # Frozen: inference normalises with the moving statistics, not with those of a batch.
    copy.trainable = kind != "BatchNormalization"
    outputs = copy(inputs)
    copy.set_weights(layer.get_weights())
    return outputs


class FloatOperation(tf_keras.layers.Layer):
    """Runs a Keras 3 operation that is not a layer, with the constants of its original call.

    Args:
        key: the key from `remember`. A call is stored by key because tfmot copies layers by their configuration.
    """

    _calls = {}

    def __init__(self, key, **kwargs):
        super().__init__(**kwargs)
        self._key = key

    @classmethod
    def remember(cls, call):
        """Stores a `Call` of a Keras 3 graph and returns its key."""
        cls._calls[call.operation.name] = call
        return call.operation.name

    def call(self, inputs):
        call = self._calls[self._key]
        args, kwargs = call.arguments({id(call.input): inputs})
        return call.operation.call(*args, **kwargs)

    def get_config(self):
        return {**super().get_config(), "key": self._key}
