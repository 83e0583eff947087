"""The graph of a model: its calls, and models that are replayed from it."""

import gc
import pathlib
import re
import weakref

import keras
import numpy as np
import pytest

from keras_cdd.errors import UserError
from keras_cdd.models.copies import Copies
from keras_cdd.models.graph import all_layers, graph_of
from tests.models.networks import APPLICATIONS, NETWORKS, cases, images_for, outputs_of, randomised

L = keras.layers
ROOT = pathlib.Path(__file__).resolve().parents[2]
# What classes of ours that are no Keras objects call their own attributes.
OWN = {"_called", "_dtype", "_lock", "_model", "_name", "_path", "_shape", "_value", "_variables"}


@pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)
def test_a_replayed_model_computes_the_same_and_shares_nothing(build):
    model = randomised(build())
    images = images_for(model)
    graph = graph_of(model)
    copy = graph.replay(Copies(graph))
    for found, expected in zip(outputs_of(copy, images), outputs_of(model, images), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert not set(map(id, all_layers(copy))) & set(map(id, all_layers(model)))
    assert len(graph_of(copy).calls) == len(graph.calls)
    keras.tree.assert_same_structure(copy(images), model(images))


def test_a_graph_is_recorded_once_and_again_when_a_layer_was_added():
    inner = keras.Sequential([keras.Input((6,)), L.Dense(4)])
    outer = keras.Sequential([keras.Input((5,)), L.Dense(6), inner])
    graph = graph_of(outer)
    assert graph_of(outer) is graph and len(graph.calls) == 2
    outer.add(L.ReLU())
    assert len(graph_of(outer).calls) == 3
    inner.add(L.Softmax())
    assert len(graph_of(outer).calls) == 4


def test_a_graph_does_not_remember_the_names_that_it_gave():
    graph = graph_of(keras.Sequential([keras.Input((5,)), L.Dense(6, name="one")]))
    for _ in range(2):
        free_name = graph.free_names()
        assert [free_name("one", ("in",)), free_name("one", ("in",)), free_name("new")] == ["in_one", "one_2", "new"]


def test_a_model_with_a_graph_is_forgotten(tmp_path):
    model = NETWORKS["shared_tower"]()
    graph_of(model)
    model.save(tmp_path / "model.keras")
    forgotten = weakref.ref(model)
    del model
    gc.collect()
    assert forgotten() is None


@pytest.mark.parametrize("build", cases(APPLICATIONS, ["MobileNetV2"]))
def test_applications_are_replayed(build):
    test_a_replayed_model_computes_the_same_and_shares_nothing(build)


def test_calls_of_a_tower_that_is_called_twice():
    graph = graph_of(NETWORKS["shared_tower"]())
    convs = [call for call in graph.calls if isinstance(call.operation, L.Conv2D)]
    assert sorted(call.output.shape[1:] for call in convs if call.operation.filters == 4) == [(6, 6, 4), (14, 14, 4)]
    assert not any(map(graph.is_called_once, convs))
    assert [graph.producer(tensor) for tensor in graph.inputs] == [None, None]
    assert all(graph.takers(tensor)[0] in convs and graph.takers(tensor)[0].path for tensor in graph.inputs)


def test_who_takes_a_tensor():
    image = keras.Input((4, 4, 2))
    x = L.Conv2D(3, 1)(image)
    y = L.ReLU()(x)
    graph = graph_of(keras.Model(image, [L.Add()([y, y]), x]))
    conv, relu, add = graph.calls
    assert graph.takers(conv.output) == [relu] and graph.producer(conv.output) is conv
    assert graph.only_taker(conv) is None and graph.is_output(conv.output)
    assert graph.only_taker(relu) is add and add.inputs == (relu.output, relu.output)


def test_what_is_called_outside_of_the_model_is_not_in_its_graph_and_looking_leaves_no_trace():
    model = NETWORKS["called_elsewhere"]()
    (conv,) = [layer for layer in model.layers if isinstance(layer, L.Conv2D)]
    (call,) = graph_of(model).calls
    assert call.operation is conv and call.output.shape == (None, 6, 6, 4)
    image = keras.Input((8, 8, 3))
    once = L.Conv2D(4, 3)
    graph_of(keras.Model(image, once(image)))
    assert once.output.shape == (None, 6, 6, 4)  # Keras refuses this where there are several calls.


def test_inner_models_hand_on_how_they_are_called():
    image = keras.Input((4, 4, 2))
    inner = keras.Sequential([keras.Input((4, 4, 2)), L.BatchNormalization()])
    model = keras.Model(image, inner(image, training=False))
    graph = graph_of(model)
    assert [call.kwargs["training"] for call in graph.calls] == [False]
    images = images_for(model)
    for training in (None, False, True):
        copy = graph.replay(Copies(graph))
        np.testing.assert_array_equal(copy(images, training=training), model(images, training=training))


def test_names_stay_apart():
    graph = graph_of(NETWORKS["nested"]())
    names = list(graph.names.values())
    assert len(set(names)) == len(names) and {"conv", "backbone_conv"} <= set(names)


class OwnCall(keras.Model):
    def call(self, x):
        return 2 * super().call(x)


def own_call():
    image = keras.Input((2,))
    return OwnCall(image, L.Dense(1)(image), name="mine")


@pytest.mark.parametrize("build", [own_call, lambda: keras.Sequential([L.Dense(1)], name="mine")])
def test_models_without_a_graph_are_refused(build):
    with pytest.raises(UserError, match="functional model.*Received: mine of class"):
        graph_of(build())


def test_a_model_with_a_call_of_its_own_stays_closed():
    model = own_call()
    image = keras.Input((2,))
    (call,) = graph_of(keras.Model(image, model(image))).calls
    assert call.operation is model


def private_names():
    """The private attributes that objects of Keras have, other than those called OWN."""
    model = keras.Sequential([keras.Input((2,)), L.Dense(1)])
    model.compile("adam", "mse")
    dense = model.layers[0]
    objects = [model, keras.Model(model.inputs, model.outputs), dense, dense.kernel, dense.output, model.optimizer]
    objects += [keras.losses.MeanSquaredError(), keras.metrics.Mean(), keras.callbacks.Callback()]
    return {name for thing in objects for name in dir(thing) if re.match("_[a-zA-Z]", name)} - OWN


def test_private_attributes_of_keras_stay_in_one_module():
    """They are neither read nor overridden elsewhere."""
    private, uses = private_names(), {}
    assert {"_flatten_layers", "_inbound_nodes", "_keras_history", "_symbolic_build", "_get_variable_index"} <= private
    for folder in ("keras_cdd", "export", "examples", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            if found := private.intersection(re.findall(r"(?:\.|def )(_\w+)", path.read_text("utf-8"))):
                uses[path.relative_to(ROOT).as_posix()] = found
    assert uses == {"keras_cdd/models/graph.py": {"_flatten_layers", "_get_variable_index", "_maybe_symbolic_build"}}
