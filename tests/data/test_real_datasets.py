"""The two real data sets, if they are present."""

import pathlib

import numpy as np
import pytest

from keras_cdd.data import ImageStore, load_dataset, load_image
from keras_cdd.data.file_tree import FileTree
from keras_cdd.data.image import ZIP_MARK

SIZES = {
    "omniglot": (964, 19280, 2636, 10544),
    "omniglot_300": (300, 6000, 2636, 10544),
    "omniglot_300_val": (300, 6000, 1200, 4800),
    "grocery": (41, 2781, 1197, 1443),
    "grocery_val": (31, 2079, 328, 374),
}


def load(shared_dir, name):
    folder = shared_dir / "data" / name.split("_")[0]
    if not folder.is_dir():
        pytest.skip(f"{folder.name} is absent from the shared data")
    return load_dataset(name, folder)


@pytest.mark.parametrize("name", SIZES)
def test_the_protocols_have_their_sizes(shared_dir, name, caplog):
    dataset = load(shared_dir, name).validate()
    found = (dataset.num_identities, len(dataset.train), len(dataset.query), len(dataset.gallery))
    assert found == SIZES[name]
    assert not caplog.text


def test_the_validation_protocols_see_nothing_of_the_test_side(shared_dir):
    for name in ("omniglot_300", "grocery"):
        test, validation = load(shared_dir, name), load(shared_dir, f"{name}_val")
        tested = {record.identity for record in test.query + test.gallery}
        seen = {record.identity for record in validation.train + validation.query + validation.gallery}
        assert not tested & seen


def test_omniglot_characters_are_every_third_and_drawers_are_cameras(shared_dir):
    whole, small = load(shared_dir, "omniglot"), load(shared_dir, "omniglot_300")
    assert small.identities == whole.identities[0:900:3]
    assert {record.camera for record in small.query} == {1, 2, 3, 4}
    assert {record.camera for record in small.gallery} == set(range(5, 21))
    assert small.inverted and not small.flip and small.background == (255, 255, 255)


def test_grocery_cameras_are_the_official_folders(shared_dir):
    dataset = load(shared_dir, "grocery")
    assert {record.identity % 2 for record in dataset.train} == {0}
    assert {record.identity % 2 for record in dataset.query + dataset.gallery} == {1}
    assert {record.camera for record in dataset.query} == {"test"}
    assert {record.camera for record in dataset.gallery} == {"train", "val"}


def test_grocery_names_are_those_of_its_table_of_classes(shared_dir):
    dataset = load(shared_dir, "grocery")
    folder = shared_dir / "data" / "grocery"
    rows = [line.split(",") for line in FileTree(folder).lines("dataset/classes.csv")[1:]]
    assert len(rows) == 81 and all(dataset.name_of(int(row[1])) == row[0] for row in rows)


def test_omniglot_pixels_are_those_of_the_reference_teacher(shared_dir, golden):
    check = golden("omniglot_300_teacher_check.npz")
    dataset = load(shared_dir, "omniglot_300")
    paths = {record.path.split(ZIP_MARK)[-1]: record.path for record in dataset.query + dataset.gallery}
    for name, expected in zip(check["names"], check["images"], strict=True):
        image = load_image(paths[str(name)], expected.shape)
        for channel in range(3):
            np.testing.assert_array_equal(255 - image[..., channel], expected)


def test_photos_in_an_archive_can_be_read_in_bulk(shared_dir):
    records = load(shared_dir, "grocery").query[::100]
    store = ImageStore(records, (24, 24), strict=True)
    assert store.records == tuple(records)
    assert pathlib.Path(records[0].path.split(ZIP_MARK)[0]).is_file()
    assert store.take(np.arange(len(records))).std(axis=(1, 2, 3)).min() > 5
