"""Looks into a model of stock layers while it computes: gates where channels are read, features where they are made."""

import functools
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_cdd.annotations import Tensor
from keras_cdd.layers import GatedBlock
from keras_cdd.layers.feature_recorder import active_recorder, into
from keras_cdd.models.call import Call
from keras_cdd.models.sites import MADE, Sites, output_name

L = keras.layers


class Taps:
    """Computes a model as the model does, and tells an active `FeatureRecorder` about its sites.

    A gate stands in front of every layer, and on every output, that reads channels of a site; all gates of a site
    together are one factor on its channels. Gated blocks have gates of their own.

    Args:
        sites: `Sites` of the model.
        features: names of the sites whose pooled outputs are recorded: behind the layer that makes them and its
            BatchNorm, before its activation; and behind the indicator, if there is one. None by default.
    """

    def __init__(self, sites: Sites, features: Iterable[str] = ()) -> None:
        self._sites = sites
        self._graph = sites.graph
        self._readings = {name: site.readings for name, site in sites.items()}
        self._read = {reading.layer for readings in self._readings.values() for reading in readings}
        self._made: dict[int, list[tuple[str, Any]]] = {}
        for name in features:
            call, positions = _first_output(sites, name)
            self._made.setdefault(id(call), []).append((name, positions))
        # A layer, since layers inside composite ones learn of `training` from the call that is under way.
        layers = [operation for operation in self._graph.operations if isinstance(operation, L.Layer)]
        self._context = _Context(self._computed, layers)

    def __call__(self, inputs: Any, training: bool = False) -> Any:
        """The model's outputs."""
        return self._context(_as_declared(self._graph.inputs, inputs), training=training)

    def _computed(self, inputs: Any, training: bool | None) -> Any:
        outputs = self._graph.run(inputs, functools.partial(self._compute, training))
        if isinstance(outputs, dict):
            read = {name: output_name(name) for name in outputs if output_name(name) in self._read}
            outputs |= {name: _gated(into(reading), outputs[name]) for name, reading in read.items()}
        return outputs

    def _compute(self, training: bool | None, call: Call, /, *args: Any, **kwargs: Any) -> Any:
        layer = call.operation
        if training is not None and "training" in inspect.signature(layer.call).parameters:
            # As in a functional model, whose calls record the defaults of their layers.
            kwargs = {**kwargs, "training": training}
        name = self._graph.names[id(layer)]
        if name in self._read and not isinstance(layer, GatedBlock):
            args, kwargs = keras.tree.map_structure(lambda x: _gated(into(name), x), (args, kwargs))
        if id(call) not in self._made:
            return layer(*args, **kwargs)
        outputs, activated = _before_activation(layer, args, kwargs)
        for site, positions in self._made[id(call)]:
            self._record(site, tf.gather(outputs, positions, axis=-1))
        return activated(outputs)

    def _record(self, site: str, features: Tensor) -> None:
        if (recorder := active_recorder()) is None:
            return
        recorder.record(site, features, features)
        if (path := self._sites[site].indicator) is not None:
            # One linear map of the channels: that of the means is the mean of its outputs.
            kernel = tf.convert_to_tensor(self._sites.variables[path])[0, 0]
            means, is_dense = recorder.convolution[site], bool(self._sites[site].input_slots)
            recorder.indicator[site] = means @ kernel if is_dense else means * kernel[0]

    def by_site(self, gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Site -> (N, channels), from the derivatives by all gates; those of blocks have the names of sites already."""
        found = {}
        for site, readings in self._readings.items():
            if site in gradients:
                found[site] = gradients[site]
            elif parts := [
                tf.reduce_sum(tf.gather(gradients[into(reading.layer)], reading.positions, axis=-1), axis=-1)
                for reading in readings
            ]:
                found[site] = tf.add_n(parts)
        return found


def _gated(name: str, x: Any) -> Any:
    recorder = active_recorder()
    return x if recorder is None or not tf.is_tensor(x) else recorder.gate(name, x)


def _before_activation(layer: Any, args: Any, kwargs: Any) -> tuple[Tensor, Any]:
    """`(outputs, activation)` of a layer: what it computes without its activation, and the activation."""
    activation = getattr(layer, "activation", keras.activations.linear)
    if activation is keras.activations.linear or isinstance(activation, keras.layers.Layer):
        return layer(*args, **kwargs), keras.activations.linear
    layer.activation = keras.activations.linear
    try:
        return layer(*args, **kwargs), activation
    finally:
        layer.activation = activation


class _Context(keras.layers.Layer):
    """Calls a function of layers as a layer, which forgets the losses that they added in its last call."""

    def __init__(self, function: Any, layers: list[keras.layers.Layer]) -> None:
        super().__init__(autocast=False, name="taps")
        self._function = function
        self.layers = layers

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self._function(inputs, training)


def _as_declared(declared: Any, inputs: Any) -> Any:
    """The inputs in the structure and the dtypes that the model states; a dict names them."""
    if isinstance(inputs, dict) and not isinstance(declared, dict):
        named = [inputs[x.name] for x in keras.tree.flatten(declared)]
        inputs = keras.tree.pack_sequence_as(declared, named)
    flat = zip(keras.tree.flatten(declared), keras.tree.flatten(inputs), strict=True)
    return keras.tree.pack_sequence_as(declared, [tf.cast(x, like.dtype) for like, x in flat])


def _first_output(sites: Sites, name: str) -> tuple[Call, Any]:
    """The call behind which a site's channels are whole: of its first producer or of the BatchNorm behind that."""
    graph, site = sites.graph, sites[name]
    slots = site.input_slots or site.slots
    made = next(slot for slot in slots if slot.role == MADE)
    producer = next(call for call in graph.calls if made.path.startswith(f"{graph.names[id(call.operation)]}/"))
    taker = graph.only_taker(producer)
    call = taker if taker is not None and isinstance(taker.operation, L.BatchNormalization) else producer
    return call, made.positions[:, 0]
