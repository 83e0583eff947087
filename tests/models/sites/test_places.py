"""Where the indicator of a site stands."""

import keras
import numpy as np

import keras_cdd
from keras_cdd.layers import ChannelIndicator, DiagonalIndicator
from keras_cdd.models.sites import MADE
from tests.models.networks import images_for
from tests.models.sites.small import depthwise, plain, residual
from tests.models.test_gate_sites import network
from tests.surgery.stock import alive, flat_outputs

L = keras.layers


def test_an_activation_inside_of_the_producer_moves_behind_the_indicator():
    heavy = keras_cdd.gate_model(network(plain), indicator="dense")
    names = [layer.name for layer in heavy.layers]
    assert names[1:4] == ["a", "a_indicator", "a_activation"]
    assert heavy.get_layer("a").activation is keras.activations.linear
    site = keras_cdd.sites(heavy)["a"]
    assert {(slot.path, slot.axis) for slot in site.input_slots} == {
        ("a/kernel", 3),
        ("a/bias", 0),
        ("a_indicator/kernel", 2),
    }
    assert {(field.layer, field.name) for field in site.input_fields} == {
        ("a", "filters"),
        ("a_indicator", "input_channels"),
    }


def test_behind_the_batch_norm_in_front_of_the_depthwise_convolution():
    heavy = keras_cdd.gate_model(network(depthwise), indicator="dense")
    kinds = [type(layer).__name__ for layer in heavy.layers]
    assert kinds[1:6] == ["Conv2D", "BatchNormalization", "ChannelIndicator", "ReLU", "DepthwiseConv2D"]
    site = keras_cdd.sites(heavy)["a"]
    # The depthwise convolution adds a bias: zeros of the indicator alone would leave a constant.
    assert not site.is_sealed and {slot.path for slot in site.effects} == {"a_indicator/kernel", "top/kernel"}


def test_a_residual_stream_has_one_indicator_before_each_reader():
    heavy = keras_cdd.gate_model(network(residual), indicator="diagonal", residual=True)
    assert sum(layer.name == "stem_indicator" for layer in heavy.layers) == 1
    assert len(heavy.get_layer("stem_indicator")._inbound_nodes) == 3
    without = keras_cdd.sites(keras_cdd.gate_model(network(residual), indicator="dense", residual=True), residual=True)
    assert "Without an indicator: stem: stem and a2 and b2 make its channels." in str(without)


def test_an_indicator_in_a_wrong_place_is_none():
    """BatchNorm adds to what the factor gives; a lone dense indicator makes channels of its own."""
    image = keras.Input((8, 8, 3))
    x = L.BatchNormalization()(DiagonalIndicator(name="early")(L.Conv2D(6, 3, name="a")(image)))
    x = DiagonalIndicator(name="late")(L.ReLU()(x))
    x = ChannelIndicator(full_channels=9, name="lone")(L.ReLU()(L.Conv2D(5, 3, name="b")(x)))
    model = keras.Model(image, L.Dense(2)(L.GlobalAveragePooling2D()(x)))
    found = keras_cdd.sites(model)
    assert found["a"].indicator == "late/kernel"
    assert found["b"].indicator is None and found["lone"].indicator is None
    model = keras.Model(image, L.Dense(2)(L.Flatten()(model.get_layer("early").output)))
    assert keras_cdd.sites(model)["a"].indicator == "early/kernel"


def test_a_producer_with_several_readers_before_its_activation():
    """The BatchNorm does not read alone, so the indicator stands before it."""
    image = keras.Input((8, 8, 3))
    x = L.Conv2D(6, 3, name="a")(image)
    x = L.Concatenate()([L.BatchNormalization()(x), L.ReLU()(x)])
    model = alive(keras.Model(image, L.Dense(2, name="top")(L.GlobalAveragePooling2D()(x))))
    heavy = keras_cdd.gate_model(model, indicator="dense")
    images = images_for(model, 2)
    np.testing.assert_array_equal(flat_outputs(heavy, images), flat_outputs(model, images))
    site = keras_cdd.sites(heavy)["a"]
    assert site.indicator == "a_indicator/kernel" and not site.is_sealed
    assert {slot.path for slot in site.slots if slot.role == MADE} == {"a_indicator/kernel"}
