"""TFLite files of every precision embed as the Keras model they were made of."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cdd.evaluation import embed, load_embedder


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
