"""A Keras 3 graph rebuilt in tf_keras, the Keras 2 twin that quantization-aware training needs."""

import keras
import tf_keras

from keras_cdd.errors import UserError
from keras_cdd.models.graph import embedding_graph

# What counts of each layer's configuration; all else is the same in both, or does not matter in inference.
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
    """The same graph, names and weights as a tf_keras model.

    Operations that are no layers (the powers of generalized-mean pooling) become `FloatOperation` layers.

    Args:
        model: functional Keras 3 model with one input, and one output or a dict with an `embedding`.
        outside: classes of layers at the start to leave out: the copy takes what comes out of them.

    Returns:
        `(copy, start)`: the tf_keras model, and the Keras 3 model of what was left out.

    Raises:
        ValueError: for a layer that has no counterpart here.
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
    """A Keras 3 model of layers one after the other, of none too."""
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
    # Statistics of training batches are not what inference normalises with.
    copy.trainable = kind != "BatchNormalization"
    outputs = copy(inputs)
    copy.set_weights(layer.get_weights())
    return outputs


class FloatOperation(tf_keras.layers.Layer):
    """Runs a Keras 3 operation that is no layer, with whatever constants it was called with.

    Args:
        key: what `remember` gave for the operation's call; tfmot copies layers by their configuration.
    """

    _calls = {}

    def __init__(self, key, **kwargs):
        super().__init__(**kwargs)
        self._key = key

    @classmethod
    def remember(cls, call):
        """Keeps a `Call` of a Keras 3 graph and gives the key to it."""
        cls._calls[call.operation.name] = call
        return call.operation.name

    def call(self, inputs):
        call = self._calls[self._key]
        args, kwargs = call.arguments({id(call.input): inputs})
        return call.operation.call(*args, **kwargs)

    def get_config(self):
        return {**super().get_config(), "key": self._key}
