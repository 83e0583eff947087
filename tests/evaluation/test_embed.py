"""Embeddings of Keras models and files."""

import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cdd.evaluation import embed, load_embedder
from keras_cdd.evaluation.keras_embedder import KerasEmbedder


def test_takes_the_embedding_of_many_outputs(model, images):
    embeddings = embed(model, [images])
    np.testing.assert_allclose(embeddings, model.predict_on_batch(images)["embedding"], atol=1e-5)
    assert embeddings.dtype == np.float32


def test_batches_change_nothing(model, images):
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(3)
    np.testing.assert_allclose(embed(model, dataset), embed(model, [images]), atol=1e-5)


def test_half_precision_gives_float32(images):
    half = keras.layers.Dense(3, dtype="mixed_float16")
    image = keras.Input((8, 6, 3))
    model = keras.Model(image, half(keras.layers.GlobalAveragePooling2D()(image)))
    assert model(images).dtype == "float16"
    assert embed(model, [images]).dtype == np.float32


def test_flip_is_the_mean_of_unit_embeddings(model, images):
    sides = [embed(model, [side]) for side in (images, images[:, :, ::-1])]
    plain, mirrored = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in sides)
    assert np.abs(plain - mirrored).max() > 0.01
    np.testing.assert_allclose(embed(model, [images], flip=True), (plain + mirrored) / 2, atol=1e-5)
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(4)
    flipped_twice = embed(model, dataset.map(lambda batch: batch[:, :, ::-1]), flip=True)
    np.testing.assert_allclose(flipped_twice, embed(model, dataset, flip=True), atol=1e-5)


def test_any_function_embeds(images):
    np.testing.assert_array_equal(embed(lambda x: x.mean(axis=(1, 2)), [images]), images.mean(axis=(1, 2)))


def test_no_images(model):
    with pytest.raises(ValueError, match="no batch"):
        embed(model, [])


@pytest.mark.parametrize(
    "build",
    [
        lambda: keras.Sequential([keras.Input((8, 6, 3)), keras.layers.GlobalAveragePooling2D()]),
        lambda: keras.Model(image := {"image": keras.Input((8, 6, 3), name="image")},
                            {"embedding": keras.layers.GlobalAveragePooling2D()(image["image"])}),
    ],
    ids=["sequential", "named"],
)  # fmt: skip
def test_other_models(build, images):
    np.testing.assert_allclose(embed(build(), [images]), images.mean(axis=(1, 2)), rtol=1e-5)


def _several_outputs():
    image = keras.Input((8, 6, 3))
    return keras.Model(image, [keras.layers.Flatten()(image), keras.layers.GlobalAveragePooling2D()(image)])


def _two_inputs():
    images = [keras.Input((8, 6, 3)), keras.Input((8, 6, 3))]
    return keras.Model(images, keras.layers.Flatten()(keras.layers.Add()(images)))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (_several_outputs, "must be called `embedding`"),
        (_two_inputs, "takes images"),
        (lambda: keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)]), "takes images"),
        (lambda: keras.Sequential([keras.Input((8, 6, 3)), keras.layers.ReLU()]), r"of shape \(N, D\)"),
        (lambda: keras.Sequential([keras.layers.Flatten()]), "functional or built"),
    ],
)
def test_models_that_do_not_embed(build, message):
    with pytest.raises(ValueError, match=message):
        KerasEmbedder(build())


def test_keras_file(model, images, tmp_path):
    model.save(tmp_path / "m.keras")
    embedder = load_embedder(tmp_path / "m.keras")
    assert embedder.image_size == (8, 6)
    np.testing.assert_allclose(embedder(images), embed(model, [images]), atol=1e-5)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no model .*gone.keras; check"):
        load_embedder(tmp_path / "gone.keras")


def test_foreign_suffix(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"1")
    with pytest.raises(ValueError, match="m.onnx must be a .keras or .tflite file"):
        load_embedder(tmp_path / "m.onnx")


def _assert_unusable(path):
    with pytest.raises(ValueError) as caught:
        load_embedder(path)
    assert str(path) in str(caught.value) and "cannot be used" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("suffix", [".keras", ".tflite"])
def test_truncated_file(model, tflite_file, tmp_path, suffix, kept):
    path = tmp_path / f"m{suffix}"
    model.save(tmp_path / "whole.keras")
    whole = tflite_file("float32") if suffix == ".tflite" else tmp_path / "whole.keras"
    content = whole.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    _assert_unusable(path)


def test_a_truncated_file_is_not_called_missing(model, tmp_path):
    path = tmp_path / "m.keras"
    model.save(path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ValueError, match="no complete .keras archive"):
        load_embedder(path)


@pytest.mark.parametrize("suffix", [".keras", ".tflite"])
def test_foreign_file(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    path.write_text("<html>404: not found</html>\n" * 50)
    _assert_unusable(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no model")
    _assert_unusable(path)


def test_damaged_archive(model, tmp_path):
    path = tmp_path / "m.keras"
    model.save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 200] = bytes(200)
    path.write_bytes(content)
    _assert_unusable(path)


def test_a_file_that_does_not_embed_is_named(tmp_path):
    keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)]).save(tmp_path / "m.keras")
    _assert_unusable(tmp_path / "m.keras")
