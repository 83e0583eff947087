"""Every precision and input type: one signature, any batch, built-in operators, the Keras model's embeddings."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from export.conversion.integer_form import integer_form
from export.conversion.quantize import PRECISIONS, to_tflite
from export.conversion.representative import representative_images
from export.proof.inspection import inspect
from export.proof.runtimes import as_input
from keras_cdd.data import load_dataset
from keras_cdd.evaluation import load_embedder
from tests.export.conftest import LENGTH, SIZE, branched_network, cosines, tiny_network

LIKENESS = {"float32": 0.999999, "float16": 0.9999, "dynamic_range": 0.995, "int8": 0.99}
CASES = [*((p, "uint8") for p in PRECISIONS), ("float32", "float32"), ("float16", "int8"), ("int8", "int8")]


def embeddings(model, photos):
    return model.predict(photos.astype(np.float32), verbose=0)["embedding"]


@pytest.mark.parametrize("precision, input_type", CASES)
def test_a_file_gives_the_keras_embeddings(network, photos, precision, input_type):
    content = to_tflite(integer_form(network) if precision == "int8" else network, precision, input_type, photos)
    inside = inspect(content)
    assert inside.custom_operators == () and inside.min_runtime_version
    assert (inside.not_quantized == {}) == (precision == "int8")
    run = Interpreter(model_content=content).get_signature_runner("serving_default")
    (name, details), (output,) = *run.get_input_details().items(), run.get_output_details()
    assert (name, output, details["dtype"]) == ("image", "embedding", np.dtype(input_type))
    assert details["shape_signature"].tolist() == [-1, *SIZE, 3]
    expected = embeddings(network, photos)
    for images in (photos, photos[:1]):
        found = run(image=as_input(images, details["dtype"]))["embedding"]
        assert found.dtype == np.float32 and found.shape == (len(images), LENGTH)
        assert cosines(found, expected[: len(images)]).min() > LIKENESS[precision]


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_file_of_one_image_at_a_time_gives_the_same(network, photos, precision, tmp_path):
    model = integer_form(network) if precision == "int8" else network
    files = {}
    for batch in (None, 1):
        files[batch] = tmp_path / f"{batch}.tflite"
        files[batch].write_bytes(to_tflite(model, precision, "uint8", photos, batch))
    (details,) = Interpreter(str(files[1])).get_input_details()
    assert details["shape_signature"].tolist() == details["shape"].tolist() == [1, *SIZE, 3]
    embedder, of_any = load_embedder(files[1]), load_embedder(files[None])
    assert (embedder.batch, of_any.batch) == (1, None)
    found, expected = embedder(photos), of_any(photos)
    assert found.shape == expected.shape and cosines(found, expected).min() > 0.99999


def test_pixels_are_the_integers_of_an_int8_file(tiny_tflite):
    (details,) = Interpreter(str(tiny_tflite)).get_input_details()
    assert details["quantization"] == (1.0, 0)


@pytest.mark.parametrize("pooling", ["avg", "gem"])
def test_the_integer_form_is_the_same_function(photos, pooling):
    network = tiny_network(pooling)
    before = embeddings(network, photos)
    form = integer_form(network)
    np.testing.assert_array_equal(embeddings(network, photos), before)
    # Padding has the value 128 instead of 127.5, and nothing else differs.
    np.testing.assert_allclose(embeddings(form, photos), before, atol=0.02)
    kinds = [type(layer).__name__ for layer in form.layers]
    assert "BatchNormalization" not in kinds or pooling == "gem"
    assert [type(layer).__name__ for layer in integer_form(network).layers] == kinds  # The network was not changed.
    plain = keras.Model(network.input, network.get_layer("bn1").output)
    shifted = photos.astype(np.float32)
    interior = np.abs(integer_form(plain).predict(shifted, verbose=0) - plain.predict(shifted, verbose=0))
    assert interior.max() < 0.02


def test_batch_norm_of_maps_becomes_a_convolution(photos):
    network = branched_network()
    form = integer_form(network)
    assert "BatchNormalization" not in [type(layer).__name__ for layer in form.layers]
    np.testing.assert_allclose(embeddings(form, photos), embeddings(network, photos), atol=0.02)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_reshaping_asks_for_no_shape(photos, precision):
    image = keras.Input((*SIZE, 3))
    x = keras.layers.Conv2D(4, 3, padding="same")(image)
    attention = keras.layers.Reshape((1, 1, 4))(keras.layers.GlobalAveragePooling2D()(x))
    x = keras.layers.Multiply()([x, keras.layers.Conv2D(4, 1, activation="sigmoid")(attention)])
    model = keras.Model(image, {"embedding": keras.layers.GlobalAveragePooling2D()(x)})
    content = to_tflite(model, precision, "uint8", photos)
    assert "SHAPE" not in inspect(content).operators
    found = Interpreter(model_content=content).get_signature_runner()(image=photos)["embedding"]
    assert cosines(found, embeddings(model, photos)).min() > LIKENESS[precision]


def test_a_whole_offset_makes_the_integer_form_exact(photos):
    image = keras.Input((*SIZE, 3))
    x = keras.layers.Rescaling([0.01, 0.02, 0.03], [-1.0, -2.0, -3.0])(image)
    model = keras.Model(image, keras.layers.Conv2D(5, 3, padding="same", bias_initializer="normal")(x))
    pixels = photos.astype(np.float32)
    expected = model.predict(pixels, verbose=0)
    np.testing.assert_allclose(integer_form(model).predict(pixels, verbose=0), expected, atol=1e-4)


def test_it_keeps_more_than_the_plain_form(photos):
    """Channels of very different size, which the BatchNorm after the pooling compensates."""
    network = tiny_network()
    bn = network.get_layer("bn1")
    gamma, beta, mean, variance = bn.get_weights()
    sizes = np.geomspace(0.01, 1.0, len(gamma))
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D) and layer.filters == len(sizes):
            layer.set_weights([weight * sizes for weight in layer.get_weights()])
    bn.set_weights([gamma / sizes, beta, mean * sizes, variance])

    def loss(model):
        run = Interpreter(model_content=to_tflite(model, "int8", "uint8", photos)).get_signature_runner()
        return 1 - cosines(run(image=photos)["embedding"], embeddings(network, photos)).mean()

    assert 2 * loss(integer_form(network)) < loss(network)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("int4",), "Argument `precision` must be one of .*'int8'.*Received: precision='int4'"),
        (("float32", "uint16"), "Argument `input_type` must be one of .*'uint8'.*Received: input_type='uint16'"),
        (("int8",), "int8 needs representative `images`. Received: none"),
        (("int8", "uint8", []), "int8 needs representative `images`. Received: none"),
    ],
)
def test_unknown_choices_are_refused(network, arguments, message):
    with pytest.raises(ValueError, match=message):
        to_tflite(network, *arguments)


def test_representative_images_show_every_identity_first():
    records = load_dataset("synthetic").train
    images = representative_images(records, SIZE, count=64)
    assert images.shape == (64, *SIZE, 3) and images.dtype == np.uint8
    np.testing.assert_array_equal(images, representative_images(records, SIZE, count=64))
    few = representative_images(records[:3], SIZE, count=64)
    assert len(few) == 3
    with pytest.raises(ValueError, match="count"):
        representative_images(records, SIZE, count=0)
