"""Invariants of the gated layers."""

import keras
import numpy as np
import pytest

from keras_cdd.layers import ChannelIndicator, FeatureRecorder, GatedBasicBlock, GatedBottleneck, GeneralizedMeanPooling


def images(seed=0, shape=(2, 9, 8, 16)):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize("kind", [GatedBottleneck, GatedBasicBlock])
@pytest.mark.parametrize("indicators", ["conv2", "both"])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_fresh_gated_block_equals_the_plain_block(kind, indicators, stride):
    gated, plain = kind(4, stride, indicators, name="a"), kind(4, stride, "none", name="a")
    outputs = gated(images())
    plain(images())
    places = {weight.path: weight for weight in gated.weights}
    for weight in plain.weights:
        weight.assign(places[weight.path])
    np.testing.assert_allclose(plain(images()), outputs, atol=1e-6)
    assert outputs.shape == gated.compute_output_shape((2, 9, 8, 16))


@pytest.mark.parametrize("kind, kept", [(GatedBottleneck, [2, 3]), (GatedBasicBlock, [3])])
def test_a_cut_block_survives_saving(tmp_path, kind, kept):
    image = keras.Input((9, 8, 16))
    model = keras.Model(image, kind(4, 2, "both", kept_filters=kept)(image))
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again(images()), model(images()))
    assert again.layers[1].kept_filters == kept


def test_mixed_precision_computes_low_and_keeps_float32_weights():
    block = GatedBottleneck(4, dtype="mixed_bfloat16")
    with FeatureRecorder(with_gates=True) as record:
        outputs = block(images(), training=True)
    assert outputs.dtype == "bfloat16"
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
    [{"indicators": "all"}, {"filters": 0}, {"kept_filters": [5]}, {"stride": 0}, {"stride_on": "conv9"}],
)
def test_a_wrong_block_is_refused(arguments):
    with pytest.raises(ValueError, match="Received"):
        GatedBottleneck(**{"filters": 4, **arguments})


def test_gem_lies_between_mean_and_maximum_and_nears_the_maximum():
    x = np.abs(images()) + 0.1
    near_max = GeneralizedMeanPooling(p=60.0)(x)
    assert np.all(x.mean(axis=(1, 2)) < GeneralizedMeanPooling()(x))
    np.testing.assert_allclose(near_max, x.max(axis=(1, 2)), rtol=0.1)
