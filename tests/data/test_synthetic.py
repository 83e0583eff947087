"""The built-in vehicles: always the same, and not too easy."""

import collections

import numpy as np
import pytest
from PIL import Image

from keras_cdd.data import load_dataset, load_image, read_image, write_synthetic
from keras_cdd.data.datasets import synthetic
from keras_cdd.data.toy_photo import photo_path


def raw_pixel_map(dataset):
    """mAP of the cosine of mean-free 32 x 32 pixels, without junk (same identity, same camera)."""

    def embed(records):
        pixels = np.stack([load_image(record.path, (32, 32)).ravel() for record in records]).astype(float)
        pixels -= pixels.mean(axis=1, keepdims=True)
        return pixels / np.linalg.norm(pixels, axis=1, keepdims=True)

    similarities = embed(dataset.query) @ embed(dataset.gallery).T
    precisions = []
    for query, row in zip(dataset.query, similarities, strict=True):
        ranked = [dataset.gallery[position] for position in np.argsort(-row)]
        hits = [
            r.identity == query.identity for r in ranked if (r.identity, r.camera) != (query.identity, query.camera)
        ]
        ranks = np.flatnonzero(hits) + 1
        precisions.append(np.mean(np.arange(1, len(ranks) + 1) / ranks))
    return np.mean(precisions)


def test_the_quickstart_set_has_its_size_and_is_valid():
    dataset = load_dataset("synthetic").validate()
    assert (dataset.num_identities, len(dataset.train)) == (64, 64 * 12)
    assert (len(dataset.query), len(dataset.gallery)) == (128, 384)
    assert {record.camera for record in dataset.train} == set(range(6))
    matches = collections.Counter()
    for query in dataset.query:
        matches[query] = sum(g.identity == query.identity and g.camera != query.camera for g in dataset.gallery)
    assert min(matches.values()) >= 4


def test_raw_pixels_do_not_solve_it():
    chance = 0.02
    assert chance < raw_pixel_map(load_dataset("synthetic")) < 0.25


def test_photos_are_the_same_at_every_call_and_differ_by_everything_in_their_path():
    first = read_image(photo_path(0, 1, 2, 3))
    assert first.shape == (64, 64, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, read_image("synthetic://0/1/2/3"))
    for other in ((9, 1, 2, 3), (0, 9, 2, 3), (0, 1, 9, 3), (0, 1, 2, 9)):
        assert np.abs(first.astype(int) - read_image(photo_path(*other))).mean() > 2


def test_a_path_that_is_no_photo_is_refused():
    with pytest.raises(ValueError, match="synthetic://seed/identity/camera/shot. Received: synthetic://0/x"):
        read_image("synthetic://0/x")


def test_a_search_needs_a_second_camera():
    with pytest.raises(ValueError, match="cameras=1"):
        synthetic.load(cameras=1)


def test_written_photos_are_read_back_as_a_folder(tmp_path):
    options = {"seed": 3, "train_identities": 2, "train_images": 2, "test_identities": 2, "test_images": 4}
    written = write_synthetic(tmp_path, **options)
    drawn, read = synthetic.load(**options), load_dataset("folder", tmp_path).validate()
    for split in ("train", "query", "gallery"):
        sources, files, back = (getattr(dataset, split) for dataset in (drawn, written, read))
        assert {(f"{r.identity:04d}", r.camera) for r in sources} == {(r.identity, r.camera) for r in back}
        for source, file in zip(sources, files, strict=True):
            np.testing.assert_array_equal(read_image(source.path), np.asarray(Image.open(file.path)))
