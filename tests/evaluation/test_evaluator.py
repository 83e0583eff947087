"""From a data set's files to metrics."""

import os

import keras
import numpy as np
import pytest
from PIL import Image

from keras_cdd.data import ImageRecord, RetrievalDataset
from keras_cdd.evaluation import Evaluator, load_embedder, rank_embeddings, rank_metrics, rerank


@pytest.fixture
def records(tmp_path):
    """Two query and five gallery images of each of 6 identities; an identity is a colour with some noise.

    With this seed no match and no other image are nearly as far from a query: see `embeddings`.
    """
    rng = np.random.default_rng(32)
    records = []
    for identity, colour in enumerate(rng.uniform(40, 215, (6, 3))):
        for shot in range(7):
            pixels = np.clip(colour + rng.normal(0, 25, 3) + rng.normal(0, 5, (8, 6, 3)), 0, 255)
            path = tmp_path / f"{identity}_{shot}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(path)
            split = "query" if shot < 2 else "gallery"
            records.append(ImageRecord(str(path), f"colour{identity}", shot % 3, split))
    return records


@pytest.fixture
def dataset(records):
    return RetrievalDataset.from_records("colours", records)


def literal_embeddings(model, records):
    pixels = np.stack([np.asarray(Image.open(record.path), np.float32) for record in records])
    return model.predict_on_batch(pixels)["embedding"]


def names(dataset):
    sides = dataset.query, dataset.gallery
    return [[getattr(r, key) for r in side] for key in ("identity", "camera") for side in sides]


@pytest.fixture
def embeddings(model, dataset):
    """Of queries and gallery; ranked alike by every processor, whatever the last digits of its sums."""
    sides = [literal_embeddings(model, side) for side in (dataset.query, dataset.gallery)]
    query, gallery = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in sides)
    identities = np.array([record.identity for record in dataset.gallery])
    for similarities, record in zip(query @ gallery.T, dataset.query, strict=True):
        same = identities == record.identity
        assert np.abs(similarities[same][:, None] - similarities[~same]).min() > 1e-4
    return sides


@pytest.mark.parametrize("batch_size", [5, 64])
def test_evaluates_what_the_files_show(model, dataset, embeddings, batch_size):
    result = Evaluator(dataset, (8, 6), batch_size).evaluate(model)
    expected = rank_embeddings(*embeddings, *names(dataset))
    np.testing.assert_allclose(result.average_precisions, expected.average_precisions)
    assert result.num_valid_queries == 12
    assert result.mAP != rank_embeddings(*embeddings, *names(dataset)[:2]).mAP


def test_reranks(model, dataset, embeddings):
    result = Evaluator(dataset, (8, 6), rerank=True).evaluate(model)
    expected = rank_metrics(rerank(*embeddings).__getitem__, *names(dataset))
    np.testing.assert_allclose(result.average_precisions, expected.average_precisions)


def test_flips(dataset):
    """The model averages the left half; of the mirrored image, that is the right half."""
    image = keras.Input((8, 6, 3))
    left = keras.layers.Cropping2D(((0, 0), (0, 3)))(image)
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(left))
    plain, flipped = (Evaluator(dataset, (8, 6), flip=flip).embeddings(model)[0] for flip in (False, True))
    pixels = np.stack([np.asarray(Image.open(r.path), np.float32) for r in dataset.query])
    halves = [pixels[:, :, side].mean(axis=(1, 2)) for side in (slice(None, 3), slice(3, None))]
    np.testing.assert_allclose(plain, halves[0], rtol=1e-5)
    unit = [half / np.linalg.norm(half, axis=1, keepdims=True) for half in halves]
    np.testing.assert_allclose(flipped, (unit[0] + unit[1]) / 2, rtol=1e-5)


def test_tflite_file(model, dataset, tflite_file):
    embedder = load_embedder(tflite_file("float32"))
    evaluator = Evaluator(dataset, embedder.image_size, 5)
    result = evaluator.evaluate(embedder)
    np.testing.assert_allclose(result.average_precisions, evaluator.evaluate(model).average_precisions, atol=1e-6)


def test_unreadable_images_are_skipped_with_their_records(model, dataset, records):
    broken = {dataset.query[3].path, dataset.gallery[0].path}
    for path in broken:
        with open(path, "w") as file:
            file.write("no image")
    evaluator = Evaluator(dataset, (8, 6))
    readable = RetrievalDataset.from_records("readable", [r for r in records if r.path not in broken])
    assert evaluator.query.records == readable.query
    expected = Evaluator(readable, (8, 6)).evaluate(model)
    np.testing.assert_array_equal(evaluator.evaluate(model).average_precisions, expected.average_precisions)


def test_an_unreadable_image_is_an_error_if_strict(dataset):
    with open(dataset.gallery[0].path, "w") as file:
        file.write("no image")
    with pytest.raises(ValueError, match=dataset.gallery[0].path):
        Evaluator(dataset, (8, 6), strict=True)


def test_an_empty_split_is_named(dataset):
    with pytest.raises(ValueError, match="'colours' has no gallery images"):
        Evaluator(RetrievalDataset("colours", (), dataset.query, ()), (8, 6))


@pytest.fixture
def larger_model(model):
    """Embeds images of twice the size as `model` embeds them at its own, with its embedding turned round."""
    image = keras.Input((16, 12, 3))
    embedding = model(keras.layers.AveragePooling2D(2)(image))["embedding"]
    return keras.Model(image, keras.layers.Lambda(lambda x: x[:, ::-1])(embedding))


def test_another_model_embeds_the_gallery_in_its_own_size(model, larger_model, dataset):
    query, gallery = Evaluator(dataset, (8, 6), gallery_size=(16, 12)).embeddings(model, larger_model)
    np.testing.assert_array_equal(query, Evaluator(dataset, (8, 6)).embeddings(model)[0])
    np.testing.assert_array_equal(gallery, Evaluator(dataset, (16, 12)).embeddings(larger_model)[1])
    asymmetric = Evaluator(dataset, (8, 6), gallery_size=(16, 12)).evaluate(model, larger_model)
    expected = rank_embeddings(query, gallery, *names(dataset))
    np.testing.assert_array_equal(asymmetric.average_precisions, expected.average_precisions)


def test_given_embeddings_are_the_gallery_and_its_images_are_not_read(model, dataset):
    whole = Evaluator(dataset, (8, 6)).evaluate(model)
    gallery = Evaluator(dataset, (8, 6)).embeddings(model)[1]
    for record in dataset.gallery:
        os.remove(record.path)
    found = Evaluator(dataset, (8, 6), gallery_embeddings=gallery).evaluate(model)
    np.testing.assert_array_equal(found.average_precisions, whole.average_precisions)


def test_embeddings_of_other_lengths_are_refused(dataset):
    evaluator = Evaluator(dataset, (8, 6), gallery_embeddings=np.ones((len(dataset.gallery), 4)))
    with pytest.raises(ValueError, match="of equal length. Received: 5 and 4"):
        evaluator.rank(np.ones((len(dataset.query), 5)), evaluator.gallery_embeddings)
