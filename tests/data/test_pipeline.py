"""Batches: deterministic, resumable, and aligned with their records even if images are unreadable."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_cdd.data import ImageStore, PKSampler, load_image
from keras_cdd.data.augment import Augmentation
from keras_cdd.data.colour import ColourChange
from keras_cdd.data.datasets import synthetic
from keras_cdd.data.pipeline import TrainingBatches, evaluation_batches, training_batches
from keras_cdd.data.records import MEAN_COLOUR, ImageRecord
from keras_cdd.data.share import WHOLE, Share

SIZE = (12, 16)
TOY = synthetic.load(train_identities=4, train_images=6, test_identities=2, test_images=3)


def batches(count, cache_bytes=1 << 20, augmentation=None, seed=5, start_epoch=0):
    store = ImageStore(TOY.train, SIZE, cache_bytes=cache_bytes)
    sampler = PKSampler(TOY.labels, 3, 2, seed=1)
    dataset = training_batches(store, TOY.labels, sampler, augmentation, seed, start_epoch)
    return list(itertools.islice(dataset.as_numpy_iterator(), count)), sampler


def assert_same(first, second):
    for (images, labels), (other_images, other_labels) in zip(first, second, strict=True):
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(labels, other_labels)


@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_training_batches_hold_what_the_sampler_chose(cache_bytes):
    found, sampler = batches(6, cache_bytes)
    positions = np.concatenate([sampler.batches(0), sampler.batches(1)])[:6]
    for (images, labels), batch in zip(found, positions, strict=True):
        assert images.dtype == np.float32 and labels.dtype == np.int32
        np.testing.assert_array_equal(labels, TOY.labels[batch])
        for image, position in zip(images, batch, strict=True):
            np.testing.assert_array_equal(image, load_image(TOY.train[position].path, SIZE))


def test_embeddings_follow_their_images():
    store, sampler = ImageStore(TOY.train, SIZE), PKSampler(TOY.labels, 3, 2, seed=1)
    teaching = np.arange(5.0 * len(store)).reshape(-1, 5)
    dataset = training_batches(store, TOY.labels, sampler, Augmentation(shift=2), teaching=teaching)
    for (images, labels, embeddings), batch in zip(dataset.as_numpy_iterator(), sampler.batches(0), strict=False):
        assert len(images) == len(batch) and embeddings.dtype == np.float32
        np.testing.assert_array_equal(labels, TOY.labels[batch])
        np.testing.assert_array_equal(embeddings, teaching[batch])
    with pytest.raises(ValueError, match="`teaching` must hold an embedding for each of 24 images. Received: 23"):
        training_batches(store, TOY.labels, sampler, teaching=teaching[1:])


def test_a_resumed_run_sees_the_batches_of_the_uninterrupted_one():
    strong = Augmentation(shift=2, rotation=10.0, scale=(0.9, 1.1), flip=True, erasing=0.5)
    whole, sampler = batches(9, augmentation=strong)
    assert sampler.steps_per_epoch == 4
    resumed, _ = batches(5, augmentation=strong, start_epoch=1)
    assert_same(whole[4:], resumed)
    assert_same(whole, batches(9, augmentation=strong)[0])
    other, _ = batches(9, augmentation=strong, seed=6)
    assert any((a != b).any() for (a, _), (b, _) in zip(whole, other, strict=True))


def test_the_device_gets_uint8_images_and_what_happens_to_them():
    store, sampler = ImageStore(TOY.train, SIZE), PKSampler(TOY.labels, 3, 2, seed=1)
    crops = Augmentation(shift=2, flip=True, erasing=0.5)
    for views in (0, 3):
        here, there = (
            TrainingBatches(store, TOY.labels, sampler, crops, seed=5, views=views, on_device=on_device).from_epoch(1)
            for on_device in (False, True)
        )
        for (images, labels), (batch, same_labels) in zip(here.take(3), there.take(3), strict=True):
            assert batch["images"].dtype == tf.uint8 and (labels.numpy() == same_labels.numpy()).all()
            np.testing.assert_array_equal(images, crops.applied(batch["images"], batch, on_device=True))


def test_batches_from_any_epoch_share_their_graphs():
    calls = []

    def traced(images, seed):
        calls.append(seed)
        return images

    store, sampler = ImageStore(TOY.train, SIZE), PKSampler(TOY.labels, 3, 2, seed=1)
    made = TrainingBatches(store, TOY.labels, sampler, traced)
    whole = list(itertools.islice(made.from_epoch(0).as_numpy_iterator(), 8))
    assert_same(whole[4:], list(itertools.islice(made.from_epoch(1).as_numpy_iterator(), 4)))
    assert len(calls) == 1


def test_every_step_draws_changes_of_its_own():
    def draw(images, seed):
        return images * 0.0 + tf.random.stateless_uniform([], seed)

    found, _ = batches(9, augmentation=draw)
    assert len({float(images.ravel()[0]) for images, _ in found}) == 9


def test_no_thread_tunes_the_batches():
    """Iterators wait for it when they are deleted, sometimes for ever."""
    store, sampler = ImageStore(TOY.train, SIZE), PKSampler(TOY.labels, 3, 2, seed=1)
    for dataset in (training_batches(store, TOY.labels, sampler), evaluation_batches(store, 10)):
        assert dataset.options().autotune.enabled is False


def test_labels_must_fit_the_images():
    store = ImageStore(TOY.train, SIZE)
    with pytest.raises(ValueError, match="each of 24 images. Received: 3"):
        training_batches(store, [0, 1, 2], PKSampler(TOY.labels, 3, 2))


@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_evaluation_batches_come_in_order_and_the_last_may_be_short(cache_bytes):
    store = ImageStore(TOY.train, SIZE, cache_bytes=cache_bytes)
    dataset = evaluation_batches(store, 10)
    found = list(dataset.as_numpy_iterator())
    assert [len(batch) for batch in found] == [10, 10, 4] and len(dataset) == 3
    expected = [load_image(record.path, SIZE) for record in TOY.train]
    np.testing.assert_array_equal(np.concatenate(found), expected)
    assert dataset.element_spec.shape.as_list() == [None, *SIZE, 3]


@pytest.fixture
def partly_readable(tmp_path):
    for name in "abc":
        Image.new("RGB", (4, 4), (ord(name), 0, 0)).save(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_text("no image")
    return [ImageRecord(str(tmp_path / f"{name}.png"), name) for name in "abcd"]


def test_unreadable_images_are_reported_and_left_out_of_the_cache(partly_readable, caplog):
    store = ImageStore(partly_readable, (4, 4))
    assert [record.identity for record in store.records] == ["a", "c"]
    assert store.take([0, 1])[:, 0, 0, 0].tolist() == [ord("a"), ord("c")]
    assert "2 of 4 images are unreadable, the first is" in caplog.text and "b.png" in caplog.text


def test_unreadable_images_are_reported_and_grey_without_a_cache(partly_readable, caplog):
    store = ImageStore(partly_readable, (4, 4), cache_bytes=0)
    assert len(store) == 4 and not store.cached
    assert store.take([2, 1])[:, 0, 0].tolist() == [[ord("c"), 0, 0], list(MEAN_COLOUR)]
    assert "1 of 2 images are unreadable" in caplog.text


@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_unreadable_images_are_errors_if_strict(partly_readable, cache_bytes):
    for records, error in ((partly_readable[:2], ValueError), (partly_readable[2:], FileNotFoundError)):
        with pytest.raises(error, match="png"):
            ImageStore(records, (4, 4), strict=True, cache_bytes=cache_bytes).take([0, 1])


def test_a_store_without_any_readable_image_is_refused(partly_readable):
    with pytest.raises(ValueError, match="None of 1 images can be read, the first is .*b.png"):
        ImageStore(partly_readable[1:2], (4, 4))


def test_large_files_are_decoded_in_threads(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (400, 300, 3), dtype=np.uint8)
    records = []
    for number in range(4):
        Image.fromarray(np.roll(pixels, number, axis=0)).save(tmp_path / f"{number}.bmp")
        records.append(ImageRecord(str(tmp_path / f"{number}.bmp"), number))
    store = ImageStore(records, (20, 10))
    expected = [load_image(record.path, (20, 10)) for record in records]
    np.testing.assert_array_equal(store.take(np.arange(4)), expected)


@pytest.mark.parametrize("views", [0, 3])
def test_shares_make_up_the_batches_of_one_process(views):
    """Each reads its own images alone, and the same happens to them; six images make parts of one and two."""
    strong = Augmentation(shift=2, flip=True, erasing=0.5, random_crop=0.5, colour=ColourChange(brightness=0.5))
    sampler, read = PKSampler(TOY.labels, 3, 2, seed=1), []

    def found(share):
        store = ImageStore(TOY.train, SIZE)
        take = store.take
        store.take = lambda positions: read.append(len(positions)) or take(positions)
        made = TrainingBatches(store, TOY.labels, sampler, strong, seed=5, views=views, share=share)
        return list(itertools.islice(made.from_epoch(1).as_numpy_iterator(), 3 * share.held))

    whole = found(WHOLE)
    read.clear()
    first, second = found(Share(0, 3, 4)), found(Share(3, 1, 4))
    assert set(read) == {1, 2}
    for number, (images, labels) in enumerate(whole):
        parts = [*first[3 * number : 3 * number + 3], second[number]]
        np.testing.assert_allclose(np.concatenate([part for part, _ in parts]), images, atol=1e-3)
        np.testing.assert_array_equal(np.concatenate([part for _, part in parts]), labels)
