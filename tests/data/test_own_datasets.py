"""A user's own images: a folder, a CSV file."""

import dataclasses
import pathlib
import zipfile

import numpy as np
import pytest
from PIL import Image

from keras_cdd.data import load_dataset, read_image, write_csv


def write_image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(2, 2, 3)).save(path)


def write_folder(root, file):
    for name in ("train/cat", "train/dog", "query/cow", "gallery/cow"):
        for number in range(2):
            write_image(root / name / file.format(number))


def test_a_folder_with_cameras_in_its_file_names(tmp_path):
    write_folder(tmp_path, "x_c{}_7.png")
    dataset = load_dataset("folder", tmp_path).validate()
    assert [(r.identity, r.camera) for r in dataset.train] == [("cat", 0), ("cat", 1), ("dog", 0), ("dog", 1)]
    assert [(r.identity, r.camera, r.split) for r in dataset.query] == [
        ("cow", 0, "query"),
        ("cow", 1, "query"),
    ]
    assert dataset.name_of("cow") == "cow"


def test_a_folder_without_cameras_in_all_its_file_names_has_none(tmp_path):
    write_folder(tmp_path, "x_c{}_7.png")
    write_image(tmp_path / "train" / "cat" / "holiday.png")
    dataset = load_dataset("folder", tmp_path).validate()
    assert {r.camera for r in dataset.train + dataset.query + dataset.gallery} == {None}


def test_a_folder_without_training_images_can_be_searched(tmp_path):
    for split in ("query", "gallery"):
        write_image(tmp_path / split / "cow" / "a.png")
    dataset = load_dataset("folder", tmp_path)
    assert dataset.validate(("query", "gallery")) is dataset
    with pytest.raises(ValueError, match="no train images"):
        dataset.validate()


def test_images_outside_an_identity_are_refused(tmp_path):
    write_image(tmp_path / "train" / "a.png")
    with pytest.raises(ValueError, match="a.png must lie in the folder of an identity"):
        load_dataset("folder", tmp_path)


ROWS = "path,identity,camera,split\nimages/a.png,cat,1,train\nimages/b.png,cat,,train\n"


@pytest.fixture
def csv_file(tmp_path):
    for name in ("a", "b"):
        write_image(tmp_path / "images" / f"{name}.png")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.write(tmp_path / "images" / "a.png", "inner/a.png")

    def write(text):
        (tmp_path / "list.csv").write_text(text, encoding="utf-8")
        return tmp_path / "list.csv"

    return write


def test_csv_paths_are_relative_to_the_file_and_may_lie_in_archives(csv_file, tmp_path):
    path = csv_file(ROWS + "c.zip!/inner/a.png,dog,2,query\nimages/a.png,dog,3,gallery\n")
    dataset = load_dataset("csv", csv=path)
    assert [(r.identity, r.camera, r.split) for r in dataset.train] == [
        ("cat", "1", "train"),
        ("cat", None, "train"),
    ]
    assert dataset.query[0].path == f"{tmp_path}/c.zip!/inner/a.png"
    np.testing.assert_array_equal(read_image(dataset.query[0].path), read_image(dataset.gallery[0].path))


def test_csv_columns_may_come_in_any_order_with_a_byte_order_mark(csv_file):
    path = csv_file("\ufeffsplit,note,identity,path,camera\nquery,x,dog,images/a.png,\n")
    assert load_dataset("csv", csv=path).query[0].identity == "dog"


@pytest.mark.parametrize(
    "text, error, message",
    [
        ("path,identity,split\nimages/a.png,cat,train\n", ValueError, "no column camera"),
        ("", ValueError, "no column path, identity, camera, split"),
        ("path,identity,camera,split\n", ValueError, "lists no images"),
        (ROWS + "images/c.png,cat,1,train\n", FileNotFoundError, "row 4: there is no image .*images/c.png"),
        (ROWS + "c.zip!/b.png,cat,1,train\n", FileNotFoundError, "row 4: there is no image .*c.zip!/b.png"),
        (ROWS + "d.zip!/b.png,cat,1,train\n", FileNotFoundError, "row 4: there is no image .*d.zip!/b.png"),
        (ROWS + "\0.zip!/b.png,cat,1,train\n", FileNotFoundError, "row 4: there is no image"),
        (ROWS + "images/a.png,cat,1,test\n", ValueError, "row 4: split must be .* Received: split='test'"),
        (ROWS + "images/a.png,,1,train\n", ValueError, "row 4: path and identity must not be empty"),
        (ROWS + "images/a.png,cat\n", ValueError, "row 4: split must be .* Received: split=''"),
    ],
)
def test_csv_mistakes_are_named_with_their_row(csv_file, text, error, message):
    with pytest.raises(error, match=message):
        load_dataset("csv", csv=csv_file(text))


def test_a_csv_file_must_be_given_and_be_there(tmp_path):
    with pytest.raises(ValueError, match="csv=None"):
        load_dataset("csv")
    with pytest.raises(FileNotFoundError, match="absent.csv"):
        load_dataset("csv", csv=tmp_path / "absent.csv")


def test_a_written_list_is_read_as_the_same_data_set(tmp_path, csv_file):
    source = load_dataset("csv", csv=csv_file(ROWS + "c.zip!/inner/a.png,dog,2,query\nimages/a.png,dog,,gallery\n"))
    named = dataclasses.replace(source, names={"dog": "Ren\u00e9, the dog"})
    write_csv(named, tmp_path / "lists" / "copy.csv")
    copy = load_dataset("csv", csv=tmp_path / "lists" / "copy.csv")
    for split in ("train", "query", "gallery"):
        found, expected = getattr(copy, split), getattr(source, split)
        assert [pathlib.Path(record.path).resolve() for record in found] == [
            pathlib.Path(record.path).resolve() for record in expected
        ]
        assert [record.identity for record in found] == [named.name_of(record.identity) for record in expected]
        assert [record.camera for record in found] == [record.camera for record in expected]
    assert [path.name for path in (tmp_path / "lists").iterdir()] == ["copy.csv"]
    with pytest.raises(ValueError, match="'csv' must have different names"):
        write_csv(dataclasses.replace(source, names={"dog": "cat"}), tmp_path / "merged.csv")
    assert not (tmp_path / "merged.csv").exists()
