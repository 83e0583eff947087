"""Composite layers are opened where a functional model computes the same, and stay closed elsewhere."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_cdd
from keras_cdd.models import composites
from keras_cdd.models.copies import Copies
from keras_cdd.models.graph import graph_of
from keras_cdd.models.sites import rules
from tests.models.networks import images_for
from tests.models.sites.small import Block, composite
from tests.surgery.stock import alive, flat_outputs

L = keras.layers


class Plain(L.Layer):
    """What is common to the composite layers below: two convolutions and a BatchNorm."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        # Two layers of one name, which is also that of an operation.
        self.first, self.second = L.Conv2D(4, 3, name="relu"), L.Conv2D(5, 1, name="relu")
        self.bn = L.BatchNormalization(name="bn")

    def call(self, x, training=None):
        return keras.ops.relu(self.second(self.bn(keras.ops.relu(self.first(x)), training=training)))


class WithOwnWeight(Plain):
    def build(self, shape):
        self.factor = self.add_weight(shape=(), initializer="ones", name="factor")

    def call(self, x, training=None):
        return self.factor * super().call(x, training=training)


class BranchesOnTraining(Plain):
    def call(self, x, training=False):
        x = super().call(x, training=training)
        return 2 * x if training else x


class NoiseInTraining(Plain):
    """Stochastic depth, as it is often written."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, x, training=None):
        x = super().call(x, training=training)
        if training:
            return x * keras.ops.floor(0.5 + keras.random.uniform((keras.ops.shape(x)[0], 1, 1, 1), seed=self.seeds))
        return x


class FrozenStatistics(Plain):
    def call(self, x, training=None):
        return super().call(x, training=False)


class AlwaysTrains(Plain):
    def call(self, x):
        return super().call(x, training=True)


class TrainsByDefault(Plain):
    def call(self, x, training=True):
        return super().call(x, training=training)


class ForgetsTraining(Plain):
    """Hands on None, which is another value than that of the context."""

    def call(self, x):
        return super().call(x)


class OtherOperations(Plain):
    def call(self, x):
        return tf.nn.softplus(self.second(tf.nn.relu(self.bn(self.first(x)))))


class ReadsAWeight(Plain):
    """A convolution's bias is also used outside of it."""

    def call(self, x, training=None):
        return super().call(x, training=training) + self.second.bias


class ReadsAValue(Plain):
    """A weight's value at the time of the call would stay for ever."""

    def call(self, x, training=None):
        return super().call(x, training=training) + keras.ops.mean(keras.ops.convert_to_tensor(self.second.kernel))


class UsesOneOnly(Plain):
    def build(self, shape):
        self.first.build(shape)
        self.bn.build((None, 4, 4, 4))
        self.second.build((None, 4, 4, 4))

    def call(self, x):
        return self.first(x)


def around(layer):
    image = keras.Input((8, 8, 3))
    x = layer(L.Conv2D(6, 3, name="stem")(image))
    return keras.Model(image, L.Dense(3, name="top")(L.GlobalAveragePooling2D()(x)))


def operations(model):
    return graph_of(model).operations


CLOSED = [
    WithOwnWeight,
    BranchesOnTraining,
    NoiseInTraining,
    FrozenStatistics,
    AlwaysTrains,
    ForgetsTraining,
    TrainsByDefault,
    OtherOperations,
    ReadsAWeight,
    ReadsAValue,
    UsesOneOnly,
]


@pytest.mark.parametrize("kind", CLOSED)
def test_what_no_functional_model_stands_for_stays_closed(kind):
    layer = kind(name="closed")
    model = around(layer)
    assert layer in operations(model) and layer.first not in operations(model)
    reasons = {left.name: left.reason for left in keras_cdd.sites(model).left_out}
    assert f"{kind.__name__} has weights" in reasons["stem"]
    assert [layer.first.name, layer.second.name] == ["relu", "relu"]


def test_layers_inside_are_calls_of_the_graph():
    layer = Plain(name="plain")
    graph = graph_of(around(layer))
    assert layer not in graph.operations and {layer.first, layer.second, layer.bn} <= set(graph.operations)
    names = [graph.names[id(inner)] for inner in (layer.first, layer.second)]
    assert names == ["relu", "plain_relu"] and layer.first.name == layer.second.name == "relu"
    assert [call.path for call in graph.calls_of(layer.bn)] == [("plain",)]
    assert set(keras_cdd.sites(around(layer))) == {"stem", "relu", "plain_relu"}


@pytest.mark.parametrize("training", [None, False, True])
def test_a_replayed_model_trains_as_the_composite_one(training):
    model = alive(composite())
    graph = graph_of(model)
    copy = graph.replay(Copies(graph))
    assert {type(layer).__module__.split(".")[0] for layer in copy.layers} == {"keras"}
    images = images_for(model)
    for _ in range(2):  # The second time with other statistics.
        np.testing.assert_array_equal(copy(images, training=training), model(images, training=training))


def test_a_composite_layer_in_a_frozen_model_keeps_its_statistics():
    inner = keras.Input((6, 6, 6))
    backbone = keras.Model(inner, Block(6, 4, name="block")(inner), name="backbone")
    image = keras.Input((8, 8, 3))
    graph = graph_of(keras.Model(image, backbone(L.Conv2D(6, 3)(image), training=False)))
    norms = [call for call in graph.calls if isinstance(call.operation, L.BatchNormalization)]
    assert [call.kwargs["training"] for call in norms] == [False, False]


def test_a_composite_layer_of_another_precision_casts_its_input():
    """`x` is added as the layer takes it, not as it is given."""
    layer = Block(6, 4, name="block", dtype="float16")
    for part in (layer.conv1, layer.bn1, layer.relu, layer.conv2, layer.bn2):
        part.dtype_policy = "float16"
    model = around(layer)
    graph = graph_of(model)
    assert layer.conv1 in graph.operations
    images = images_for(model)
    np.testing.assert_array_equal(graph.replay(Copies(graph))(images), model(images))


def test_a_rule_keeps_a_layer_closed(monkeypatch):
    monkeypatch.setattr(rules, "_RULES", dict(rules._RULES))
    monkeypatch.setattr(composites, "_CLOSED", set(composites._CLOSED))

    @keras_cdd.site_rule(Plain)
    def plain(walk, call):
        return "a rule says so"

    reasons = {left.name: left.reason for left in keras_cdd.sites(around(Plain())).left_out}
    assert reasons["stem"] == "a rule says so"


def test_an_indicator_inside_folds():
    model = alive(composite())
    gated = keras_cdd.gate_model(model, indicator="dense")
    assert gated.get_layer("conv1_indicator") is not None
    images = images_for(model)
    np.testing.assert_array_equal(flat_outputs(gated, images), flat_outputs(model, images))
    fused = keras_cdd.fuse(gated)
    assert not [layer for layer in fused.layers if isinstance(layer, L.BatchNormalization)]
    np.testing.assert_allclose(flat_outputs(fused, images), flat_outputs(model, images), atol=1e-4)
