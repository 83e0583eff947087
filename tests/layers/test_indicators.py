"""Indicators alone: identities at the start, on tensors of any rank, saved and loaded with what they remember."""

import keras
import numpy as np
import pytest

from keras_cdd.layers import ChannelIndicator, DiagonalIndicator

SHAPES = {"vectors": (5,), "sequences": (4, 5), "maps": (3, 4, 5), "volumes": (2, 3, 4, 5)}
KINDS = [ChannelIndicator, DiagonalIndicator]


def noise(shape, dtype="float32"):
    return np.random.default_rng(0).normal(size=(2, *shape)).astype(dtype)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_indicator_changes_nothing(kind, shape, policy):
    indicator = kind(dtype=policy)
    x = noise(shape, indicator.compute_dtype)
    outputs = indicator(x)
    assert outputs.dtype == indicator.compute_dtype and indicator.kernel.dtype == "float32"
    np.testing.assert_array_equal(outputs, x)
    assert indicator.compute_output_shape((None, *shape)) == (None, *shape)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_kernel_does(kind, shape):
    indicator, x, rng = kind(), noise(shape), np.random.default_rng(1)
    indicator(x)
    kernel = rng.normal(size=indicator.kernel.shape).astype("float32")
    indicator.kernel.assign(kernel)
    matrix = kernel[0, 0] if kind is ChannelIndicator else np.diag(kernel.ravel())
    np.testing.assert_allclose(indicator(x), x @ matrix, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_indicator_is_loaded_as_it_was(kind, shape, tmp_path):
    """Also one of a file from before `full_channels`."""
    inputs = keras.Input(shape)
    options = {"input_channels": [0, 2, 3, 6, 8]} if kind is ChannelIndicator else {}
    channels = [2, 3] if kind is ChannelIndicator else [0, 2, 3, 6, 8]
    layer = kind(output_channels=channels, full_channels=9, name="it", **options)
    model = keras.Model(inputs, layer(inputs))
    layer.kernel.assign(np.random.default_rng(1).normal(size=layer.kernel.shape))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(noise(shape)), model(noise(shape)))
    assert loaded.get_layer("it").output_channels == channels and loaded.get_layer("it").full_channels == 9
    config = {name: value for name, value in layer.get_config().items() if name != "full_channels"}
    assert kind.from_config(config).full_channels is None


def test_wrong_lists_are_refused():
    for channels in ([], [1, 1], [2, 1], [-1, 0]):
        with pytest.raises(ValueError, match="`output_channels` must be sorted, distinct indices"):
            DiagonalIndicator(output_channels=channels)
    with pytest.raises(ValueError, match="as many channels as the input has.*2 channels"):
        DiagonalIndicator(output_channels=[0, 4])(noise((5,)))
