"""Invariants of the gated layers."""

import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cdd.layers import ChannelIndicator, FeatureRecorder, GatedBasicBlock, GatedBottleneck, GeneralizedMeanPooling
from keras_cdd.layers.conv_unit import ConvUnit
from keras_cdd.layers.feature_recorder import into
from tests.half_precision import POLICIES, skip_where_refused


def images(seed=0, shape=(2, 9, 8, 16)):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize("kind", [GatedBottleneck, GatedBasicBlock])
@pytest.mark.parametrize("indicators", ["conv2", "both"])
@pytest.mark.parametrize("indicator", ["dense", "diagonal"])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_fresh_gated_block_equals_the_plain_block(kind, indicators, indicator, stride):
    gated, plain = kind(4, stride, indicators, indicator=indicator, name="a"), kind(4, stride, "none", name="a")
    outputs = gated(images())
    plain(images())
    places = {weight.path: weight for weight in gated.weights}
    for weight in plain.weights:
        weight.assign(places[weight.path])
    np.testing.assert_allclose(plain(images()), outputs, atol=1e-6)
    assert outputs.shape == gated.compute_output_shape((2, 9, 8, 16))


@pytest.mark.parametrize("indicator", ["dense", "diagonal"])
@pytest.mark.parametrize("kind, kept", [(GatedBottleneck, [2, 3]), (GatedBasicBlock, [3])])
def test_a_cut_block_survives_saving(tmp_path, kind, kept, indicator):
    image = keras.Input((9, 8, 16))
    model = keras.Model(image, kind(4, 2, "both", kept_filters=kept, indicator=indicator)(image))
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again(images()), model(images()))
    assert again.layers[1].kept_filters == kept and again.layers[1].indicator == indicator


@pytest.mark.parametrize("projection", [True, False])
@pytest.mark.parametrize("kind, outer", [(GatedBottleneck, 16), (GatedBasicBlock, 4)])
def test_the_outer_width_and_the_shortcut_survive_saving(tmp_path, kind, outer, projection):
    """An input as wide as the cut output says nothing about the shortcut."""
    image = keras.Input((9, 8, outer - 1))
    block = kind(4, outer_filters=outer - 1, projection=projection)
    model = keras.Model(image, block(image))
    assert model.output.shape == block.compute_output_shape(image.shape) == image.shape
    assert (block.shortcut is not None) == projection and block.full_outer_filters == outer
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert again.layers[1].get_config() == block.get_config()
    x = images(shape=(2, 9, 8, outer - 1))
    np.testing.assert_array_equal(again(x), model(x))


def test_files_that_say_nothing_about_the_outer_width_load(tmp_path):
    image = keras.Input((9, 8, 16))
    x = GatedBottleneck(4, name="identity")(image)
    model = keras.Model(image, GatedBasicBlock(6, 2, "both", name="projected")(x))
    model.save(tmp_path / "new.keras")
    with zipfile.ZipFile(tmp_path / "new.keras") as new, zipfile.ZipFile(tmp_path / "old.keras", "w") as old:
        for name in new.namelist():
            content = new.read(name)
            if name == "config.json":
                config = json.loads(content)
                for layer in config["config"]["layers"][1:]:
                    del layer["config"]["outer_filters"], layer["config"]["projection"]
                content = json.dumps(config)
            old.writestr(name, content)
    again = keras.saving.load_model(tmp_path / "old.keras")
    np.testing.assert_array_equal(again(images()), model(images()))
    assert [weight.path for weight in again.weights] == [weight.path for weight in model.weights]


def test_an_identity_shortcut_must_fit():
    with pytest.raises(ValueError, match="projection.*Received.*outer_filters=6"):
        GatedBasicBlock(8, outer_filters=6, projection=False).build((None, 9, 8, 8))


def test_a_gate_on_the_input_stands_where_the_block_reads_it():
    """Its gradient is that of a factor on the rows of the kernels that read a channel, an identity shortcut aside."""
    for stride in (1, 2):
        block = GatedBasicBlock(16, stride, name="a")
        block(images())
        kernels = [unit.conv.kernel for unit in (block.inner[0], block.shortcut) if unit is not None]
        assert len(kernels) == stride
        with tf.GradientTape() as tape, FeatureRecorder(True, tape, gates_of_inputs=True) as record:
            loss = tf.reduce_sum(block(images()) ** 2)
        gates, *gradients = tape.gradient(loss, [record.gates[into("a")], *(kernel.value for kernel in kernels)])
        rows = [tf.reduce_sum(kernel * grad, [0, 1, 3]) for kernel, grad in zip(kernels, gradients, strict=True)]
        np.testing.assert_allclose(tf.reduce_sum(gates, 0), sum(rows), rtol=1e-3, atol=1e-3 * np.abs(sum(rows)).max())
        assert set(record.gates) == {into("a"), "a/conv1"}
        with FeatureRecorder(with_gates=True) as record:
            block(images())
        assert set(record.gates) == {"a/conv1"}


@pytest.mark.parametrize("policy", POLICIES)
def test_mixed_precision_computes_low_and_keeps_float32_weights(policy):
    skip_where_refused(policy)
    block = GatedBottleneck(4, dtype=policy)
    with FeatureRecorder(with_gates=True) as record:
        outputs = block(images(), training=True)
    assert outputs.dtype == policy.removeprefix("mixed_")
    assert {str(keras.backend.standardize_dtype(w.dtype)) for w in block.weights} == {"float32"}
    assert all(value.dtype == "float32" for value in [*record.indicator.values(), *record.gates.values()])


def test_recorders_nest_and_close():
    block = GatedBottleneck(4)
    with FeatureRecorder() as outer:
        with FeatureRecorder() as inner:
            block(images())
        assert inner.indicator and not outer.indicator
        block(images())
    assert outer.indicator.keys() == inner.indicator.keys()
    block(images())


def test_an_indicator_starts_as_the_identity_on_what_it_keeps():
    indicator = ChannelIndicator(input_channels=[0, 2, 5], output_channels=[2, 5])
    x = images(shape=(1, 2, 2, 3))
    np.testing.assert_array_equal(indicator(x), x[..., 1:])


@pytest.mark.parametrize("arguments", [{"kept": 0}, {"input_channels": [1, 0]}, {"output_channels": [0, 1], "kept": 3}])
def test_a_wrong_indicator_is_refused(arguments):
    with pytest.raises(ValueError, match="Received"):
        ChannelIndicator(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"indicators": "all"},
        {"filters": 0},
        {"kept_filters": [5]},
        {"stride": 0},
        {"stride_on": "conv9"},
        {"outer_filters": 0},
        {"outer_filters": 17},
        {"indicator": "round"},
        {"indicator": "diagonal", "kept_channels": {"conv2": {"inputs": [0, 1], "outputs": [0]}}},
    ],
)
def test_a_wrong_block_is_refused(arguments):
    with pytest.raises(ValueError, match="Received"):
        GatedBottleneck(**{"filters": 4, **arguments})


def test_gem_lies_between_mean_and_maximum_and_nears_the_maximum():
    x = np.abs(images()) + 0.1
    near_max = GeneralizedMeanPooling(p=60.0)(x)
    assert np.all(x.mean(axis=(1, 2)) < GeneralizedMeanPooling()(x))
    np.testing.assert_allclose(near_max, x.max(axis=(1, 2)), rtol=0.1)


def test_a_strided_shortcut_has_the_gradient_of_its_formula():
    """oneDNN's own gradients of strided 1x1 convolutions of few channels damage memory, so none may be asked for."""
    unit = ConvUnit(5, 1, 2, None, True, 1e-5, 0.9, name="unit")
    x, upstream = images(shape=(2, 9, 8, 4)), images(1, (2, 5, 4, 5))
    unit.build(x.shape)

    @tf.function
    def gradients(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(unit.conv(x) * upstream)
        return tape.gradient(loss, [x, unit.conv.kernel.value, unit.conv.bias.value])

    operations = gradients.get_concrete_function(x).graph.get_operations()
    strides = [tuple(op.get_attr("strides")) for op in operations if op.type.startswith("Conv2D")]
    assert strides and set(strides) == {(1, 1, 1, 1)}
    kernel, expected = unit.conv.kernel.numpy()[0, 0], np.zeros_like(x)
    expected[:, ::2, ::2] = upstream @ kernel.T
    found = gradients(tf.constant(x))
    np.testing.assert_allclose(found[0], expected, atol=1e-5)
    np.testing.assert_allclose(found[1][0, 0], np.einsum("nhwi,nhwo->io", x[:, ::2, ::2], upstream), atol=1e-4)
    np.testing.assert_allclose(found[2], upstream.sum((0, 1, 2)), atol=1e-4)
    np.testing.assert_allclose(unit.conv(x), x[:, ::2, ::2] @ kernel + unit.conv.bias, atol=1e-5)
