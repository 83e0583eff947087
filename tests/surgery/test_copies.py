"""Layers that Keras cannot restore by name are copied with what they use, shared, or refused before a training."""

import keras
import numpy as np
import pytest

import keras_cdd
from keras_cdd.errors import UserError
from tests.models.networks import images_for
from tests.surgery.stock import alive, flat_outputs

L = keras.layers


def network(layer, **options):
    """A network with a layer in the middle, and arguments for the convolution before it."""
    image = keras.Input((8, 8, 3))
    x = L.Conv2D(6, 3, name="a", **options)(image)
    x = L.BatchNormalization()(x if layer is None else layer(x))
    x = L.Conv2D(5, 1, activation="relu", name="b")(x)
    return keras.Model(image, L.Dense(3, activation="softmax", name="top")(L.GlobalAveragePooling2D()(x)))


def relu(x):
    """Not the function of this name that Keras knows."""
    return keras.ops.maximum(x, 0.0) * 2.0 - 0.1


class Scaled(L.Layer):
    """Its arguments do not take a name."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, x):
        return x * self.factor


class Mixed(L.Layer):
    """The same, with a weight."""

    def __init__(self, units):
        super().__init__()
        self.units = units

    def build(self, shape):
        self.matrix = self.add_weight(shape=(shape[-1], self.units), name="matrix")

    def call(self, x):
        return x @ self.matrix

    def compute_output_shape(self, shape):
        return (*shape[:-1], self.units)


class Usual(Mixed):
    """Takes a name, and is not registered."""

    def __init__(self, units, **kwargs):
        super(Mixed, self).__init__(**kwargs)
        self.units = units


class Unrestorable(Mixed):
    """Its argument is no plain value, and it has no `get_config`."""

    def __init__(self, array):
        super().__init__(int(array[0]))


class Ramp(keras.initializers.Initializer):
    """Knows how long its weight is."""

    def __call__(self, shape, dtype=None):
        return keras.ops.convert_to_tensor(np.linspace(0, 1, 6).reshape(shape), dtype)


CASES = {
    "lambda_layer": lambda: network(L.Lambda(lambda x: x * 2.0)),
    "lambda_activation": lambda: network(None, activation=lambda x: keras.ops.relu(x) * 2.0),
    "unregistered_activation": lambda: network(None, activation=relu),
    "activation_layer": lambda: network(L.Activation(relu)),
    "no_kwargs": lambda: network(Scaled(2.0)),
    "array_argument": lambda: network(Scaled(np.array([2.0]))),
    "weights_and_no_kwargs": lambda: network(Mixed(6)),
    "inside_a_wrapper": lambda: network(L.TimeDistributed(Usual(6))),
    "constant_array": lambda: network(None, bias_initializer=keras.initializers.Constant(np.linspace(0, 1, 6))),
    "own_initializer": lambda: network(None, bias_initializer=Ramp()),
    "own_regularizer": lambda: network(None, kernel_regularizer=lambda x: keras.ops.sum(x**2)),
}


@pytest.mark.parametrize("kind", ["dense", "diagonal"])
@pytest.mark.parametrize("build", CASES.values(), ids=CASES)
def test_copies_compute_the_same(build, kind):
    keras.utils.set_random_seed(0)
    model = alive(build())
    images = images_for(model)
    whole = flat_outputs(model, images)
    gated = keras_cdd.gate_model(model, indicator=kind)
    np.testing.assert_array_equal(flat_outputs(gated, images), whole)
    for each in (model, gated):
        np.testing.assert_allclose(flat_outputs(keras_cdd.fuse(each), images), whole, atol=1e-5)
        plan = keras_cdd.plan_surgery(each, target_macs=0.9)
        keras_cdd.silence(each, plan)
        silenced = flat_outputs(each, images)
        assert np.abs(silenced - whole).max() > 1e-4
        np.testing.assert_allclose(flat_outputs(keras_cdd.rebuild(each, plan), images), silenced, atol=1e-5)


def test_scalar_initializers_stay_what_they_are():
    model = network(None, bias_initializer=keras.initializers.Constant(0.5))
    slim = keras_cdd.rebuild(model, keras_cdd.plan_surgery(model, target_macs=0.75))
    assert slim.get_layer("a").bias_initializer.value == 0.5
    assert type(slim.get_layer("a").kernel_initializer).__name__ == "GlorotUniform"


REFUSED = {
    "gate": lambda model: keras_cdd.gate_model(model, indicator="dense"),
    "fuse": keras_cdd.fuse,
    "rebuild": lambda model: keras_cdd.rebuild(model, keras_cdd.plan_surgery(model, target_macs=0.9)),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_copied_is_named_with_the_remedy(call):
    layer = Unrestorable(np.array([6]))
    with pytest.raises(UserError, match=f"{layer.name} .Unrestorable.*get_config.*register_keras_serializable"):
        call(network(layer))


def test_a_training_does_not_start_in_vain():
    model = network(Unrestorable(np.array([6])))
    before = [weight.numpy() for weight in model.weights]
    data = images_for(model, 8), np.arange(8) % 3
    with pytest.raises(UserError, match="Unrestorable.*get_config"):
        keras_cdd.fit_shrinking(model, data, "sparse_categorical_crossentropy", target_macs=0.9, batch_size=2)
    for array, weight in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(array, weight)


def test_two_functions_of_one_name_inside_a_wrapper_are_refused():
    def named_act(factor):
        def act(x):
            return keras.ops.tanh(x) * factor

        return act

    sequence = keras.Input((4, 3))
    both = L.RNN([L.GRUCell(2, activation=named_act(factor)) for factor in (1.0, 2.0)], name="both")
    x = L.Dense(4, activation="relu")(both(sequence))
    with pytest.raises(UserError, match="both.*different things of the name act"):
        keras_cdd.fuse(keras.Model(sequence, L.Dense(2)(x)))
