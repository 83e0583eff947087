"""TFLite files of every precision embed as the Keras model they were made of."""

import hashlib
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cdd.evaluation import embed, load_embedder, model_file


def cosines(a, b):
    return np.sum(a * b, axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize("kind", ["float32", "dict", "single"])
def test_float_file(model, images, tflite_file, kind):
    embedder = load_embedder(tflite_file(kind))
    assert embedder.image_size == (8, 6)
    np.testing.assert_allclose(embedder(images), embed(model, [images]), atol=1e-4)


@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_quantized_file(model, images, tflite_file, kind):
    embeddings = load_embedder(tflite_file(kind))(images)
    assert embeddings.dtype == np.float32
    expected = embed(model, [images])
    assert cosines(embeddings, expected).min() > 0.99
    # Dequantized: of the same length too.
    np.testing.assert_allclose(embeddings, expected, atol=0.05 * np.abs(expected).max())


@pytest.mark.parametrize("kind", ["float32", "uint8", "int8"])
def test_pixels_may_be_bytes(images, tflite_file, kind):
    embedder = load_embedder(tflite_file(kind))
    pixels = images.astype(np.uint8)
    np.testing.assert_array_equal(embedder(pixels), embedder(pixels.astype(np.float32)))


@pytest.mark.parametrize("kind", ["float32", "int8", "single"])
def test_batches_change_nothing(images, tflite_file, kind):
    embedder = load_embedder(tflite_file(kind))
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(3)
    np.testing.assert_allclose(embed(embedder, dataset), embedder(images), atol=1e-5)


def test_flip(model, images, tflite_file):
    embedder = load_embedder(tflite_file("float32"))
    expected = embed(model, [images], flip=True)
    np.testing.assert_allclose(embed(embedder, [images], flip=True), expected, atol=1e-4)


def test_images_of_another_size_are_refused(images, tflite_file):
    embedder = load_embedder(tflite_file("float32"))
    with pytest.raises(ValueError, match=r"must be \(N, 8, 6, 3\). Received: shape \(7, 6, 8, 3\)"):
        embedder(images.transpose(0, 2, 1, 3))


def test_a_file_without_an_embedding_is_named(tmp_path):
    image = keras.Input((8, 6, 3))
    outputs = {"a": keras.layers.Flatten()(image), "b": keras.layers.GlobalAveragePooling2D()(image)}
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(image, outputs))
    path = tmp_path / "m.tflite"
    path.write_bytes(converter.convert())
    with pytest.raises(ValueError, match=r"m.tflite cannot be used: .*`embedding`. Received: \['a', 'b'\]"):
        load_embedder(path)


def test_says_what_goes_in_and_out(tflite_file):
    embedder = load_embedder(tflite_file("int8"))
    assert (embedder.embedding_size, embedder.input_type, embedder.output_type) == (5, "int8", "int8")
    scale, zero_point = embedder.output_quantization
    assert scale > 0 and -128 <= zero_point <= 127
    embedder = load_embedder(tflite_file("float32"))
    assert (embedder.output_type, embedder.output_quantization) == ("float32", (0.0, 0))


def test_a_known_sha256_must_be_the_file_s(tflite_file, tmp_path):
    path, report = tmp_path / "m.tflite", tmp_path / "m.json"
    content = tflite_file("float32").read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    # In a weight, where nothing else would tell.
    path.write_bytes(content.replace(content[-2000:-1990], bytes(10), 1))
    with pytest.raises(ValueError, match="m.tflite cannot be used: its SHA-256 is not the recorded one"):
        load_embedder(path, sha256)
    report.write_text(json.dumps({"sha256": sha256}))
    with pytest.raises(ValueError, match="its SHA-256 is not the recorded one"):
        load_embedder(path)
    path.write_bytes(content)
    assert load_embedder(path).image_size == load_embedder(path, sha256).image_size == (8, 6)
    for other in ("[1]", "{}", "no JSON"):
        report.write_text(other)
        assert load_embedder(path).image_size == (8, 6)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("import os; os.abort()", "it crashes the interpreter"),
        ("import time; time.sleep(60)", "it gives no embedding within 1 s"),
        ("raise SystemExit('bad tensor')", "bad tensor"),
    ],
)
def test_a_file_that_would_end_the_process_is_refused(tflite_file, tmp_path, monkeypatch, script, message):
    (tmp_path / "script.py").write_text(script)
    monkeypatch.setattr(model_file.tflite_embedder, "__file__", str(tmp_path / "script.py"))
    monkeypatch.setattr(model_file, "SECONDS_TO_TRY", 1 if "sleep" in script else 60)
    with pytest.raises(ValueError, match=f"cannot be used: {message}; export"):
        load_embedder(tflite_file("float32"))
