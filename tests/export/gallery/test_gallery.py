"""Gallery files: their content, refused files, and exact search."""

import sqlite3

import numpy as np
import pytest

from export.gallery.format import DOCUMENTATION, GalleryFormat
from export.gallery.gallery import Gallery
from export.gallery.image import GalleryImage, thumbnail_of
from export.gallery.search import top_k
from export.gallery.vector_codec import decode, encode
from export.gallery.vectors import GalleryVectors
from keras_cdd.errors import UserError

SIZE = 24


def unit_rows(count, size=SIZE, seed=0):
    rows = np.random.default_rng(seed).normal(size=(count, size))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def form(embedding_type="int8"):
    return GalleryFormat("ab" * 32, "m.tflite", (16, 12), SIZE, embedding_type)


def image(name, identity="x"):
    return GalleryImage(name, identity, None, thumbnail_of(np.full((9, 7, 3), 99, np.uint8)))


@pytest.fixture
def path(tmp_path):
    """A gallery of five images."""
    path = tmp_path / "gallery.sqlite"
    with Gallery(path, create=form) as gallery:
        gallery.add([image(f"{n}.jpg", f"id{n // 2}") for n in range(5)], *encode(unit_rows(5), "int8"))
    return path


def execute(path, *command):
    with sqlite3.connect(path) as file:
        rows = file.execute(*command).fetchall()
    file.close()
    return rows


def test_the_file_says_what_it_holds(path):
    meta = dict(execute(path, "SELECT key, value FROM meta"))
    assert meta == {
        "format": "keras_cdd gallery",
        "version": "1",
        "model_sha256": "ab" * 32,
        "model_file": "m.tflite",
        "image_height": "16",
        "image_width": "12",
        "embedding_size": "24",
        "embedding_type": "int8",
        "documentation": DOCUMENTATION,
    }
    columns = [(name, kind, required) for _, name, kind, required, *_ in execute(path, "PRAGMA table_info(images)")]
    assert columns == [
        ("id", "INTEGER", 0),
        ("path", "TEXT", 1),
        ("identity", "TEXT", 0),
        ("camera", "TEXT", 0),
        ("embedding", "BLOB", 1),
        ("scale", "REAL", 1),
        ("thumbnail", "BLOB", 1),
    ]
    assert all(name in DOCUMENTATION for name in (*meta, *(name for name, *_ in columns if name != "id")))
    assert [file.name for file in path.parent.iterdir()] == ["gallery.sqlite"]


def test_int8_is_the_formula_of_the_documentation(path):
    x = unit_rows(5)
    rows = execute(path, "SELECT embedding, scale FROM images ORDER BY id")
    for vector, (blob, scale) in zip(x, rows, strict=True):
        q = np.frombuffer(blob, np.int8)
        np.testing.assert_array_equal(q, [round(127 * value / max(abs(vector))) for value in vector])
        assert abs(q).max() == 127
        assert scale == pytest.approx(1 / np.sqrt(sum(int(value) ** 2 for value in q)), rel=1e-15)


@pytest.mark.parametrize(("embedding_type", "dtype", "error"), [("int8", "i1", 0.02), ("float16", "<f2", 1e-3)])
def test_stored_rows_have_length_1_and_the_old_direction(embedding_type, dtype, error):
    x = unit_rows(50, 64)
    stored, scales = encode(x, embedding_type)
    assert stored.dtype == np.dtype(dtype)
    again = decode(stored.tobytes(), embedding_type, 64) * scales[:, None]
    np.testing.assert_allclose(np.linalg.norm(again, axis=1), 1, rtol=1e-12)
    assert np.linalg.norm(again - x, axis=1).max() < error


def test_opened_again(path):
    with Gallery(path) as gallery:
        assert gallery.format == form()
        assert len(gallery) == 5 and not gallery.created and gallery.unfinished is None
        assert list(gallery.labels().items()) == [(f"{n}.jpg", f"id{n // 2}") for n in range(5)]
        assert [found.path for found in gallery.check().images([4, 2])] == ["3.jpg", "1.jpg"]
        assert gallery.images([1])[0].picture().size == (7, 9)


def test_replacing_keeps_the_place(path):
    with Gallery(path, create=form) as gallery:
        gallery.add([image("1.jpg", "new")], *encode(unit_rows(1, seed=9), "int8"))
        assert list(gallery.labels()) == [f"{n}.jpg" for n in range(5)]
        assert gallery.labels()["1.jpg"] == "new"
        np.testing.assert_array_equal(gallery.vectors().stored[1], encode(unit_rows(1, seed=9), "int8")[0][0])


def test_removing_is_all_or_nothing(path):
    with Gallery(path) as gallery:
        with pytest.raises(UserError, match="holds no image nix.jpg"):
            gallery.remove(["1.jpg", "nix.jpg"])
        assert len(gallery) == 5
        gallery.remove(["1.jpg", "3.jpg"])
        assert list(gallery.labels()) == ["0.jpg", "2.jpg", "4.jpg"]


def test_a_batch_is_all_or_nothing(path):
    stored, scales = encode(unit_rows(2), "int8")
    with Gallery(path) as gallery:
        with pytest.raises(UserError, match="cannot be used"):
            gallery.add([image("a.jpg"), image(None)], stored, scales)
        assert len(gallery) == 5


def test_unfinished_until_the_same_source_is_through(path):
    with Gallery(path) as gallery:
        gallery.start("a")
        gallery.start("b")
        gallery.finish("b")
        assert gallery.unfinished == "a"
        gallery.finish("a")
        assert gallery.unfinished is None


def test_a_copy_is_compact_and_equal(path, tmp_path):
    with Gallery(path) as gallery:
        gallery.remove(["1.jpg"])
        gallery.copy_to(tmp_path / "copy.sqlite")
        with Gallery(tmp_path / "copy.sqlite") as copy:
            assert copy.labels() == gallery.labels()
            np.testing.assert_array_equal(copy.vectors().stored, gallery.vectors().stored)


def test_no_gallery(tmp_path):
    with pytest.raises(FileNotFoundError, match="no gallery .*build_gallery"):
        Gallery(tmp_path / "g.sqlite")
    with pytest.raises(FileNotFoundError, match="no folder"):
        Gallery(tmp_path / "sub" / "g.sqlite", create=form)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(image("x").thumbnail)
    for create in (None, form):
        with pytest.raises(UserError, match="photo.jpg cannot be used: file is not a database"):
            Gallery(photo, create)
    assert photo.read_bytes() == image("x").thumbnail


def test_another_program_s_file(tmp_path):
    execute(tmp_path / "other.sqlite", "CREATE TABLE meta(key TEXT, value TEXT)")
    for create in (None, form):
        with pytest.raises(UserError, match="other.sqlite cannot be used: it is no gallery"):
            Gallery(tmp_path / "other.sqlite", create)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", "a gallery", "it is no gallery"),
        ("version", "2", "version '2' and this program reads version 1"),
        ("model_sha256", "ab", "model_sha256"),
        ("image_height", "-1", "image_height"),
        ("image_width", "0", "image_width"),
        ("embedding_size", "9" * 30, "embedding_size"),
        ("embedding_type", "int4", "embedding_type"),
    ],
)
def test_a_wrong_entry_is_named(path, key, value, message):
    execute(path, "UPDATE meta SET value = ? WHERE key = ?", [value, key])
    with pytest.raises(UserError, match=message):
        Gallery(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("embedding = x'0102'", "does not have 24 numbers"),
        ("embedding = zeroblob(24)", "image 3 does not fit its scale"),
        ("scale = 'x'", "a scale is no number"),
        ("scale = 9e999", "image 3 does not fit its scale"),
        ("scale = -scale", "image 3 does not fit its scale"),
    ],
)
def test_a_wrong_embedding_is_found(path, change, message):
    execute(path, f"UPDATE images SET {change} WHERE id = 3")
    with Gallery(path) as gallery, pytest.raises(UserError, match=message):
        gallery.vectors()


def test_one_writer_at_a_time(path, monkeypatch):
    monkeypatch.setattr("export.gallery.gallery.SECONDS_TO_WAIT", 0.1)
    with Gallery(path) as gallery, Gallery(path) as other, gallery._transaction():
        with pytest.raises(UserError, match="another process is writing it"):
            other.start("a")
        assert len(other) == 5


def test_top_k_is_exact():
    stored, scales = encode(unit_rows(3000), "int8")
    vectors, queries = GalleryVectors(np.arange(3000), stored, scales), unit_rows(70, seed=1)
    expected = queries @ (stored * scales[:, None]).T
    positions, similarities = top_k(vectors, queries, 10)
    np.testing.assert_array_equal(positions, np.argsort(-expected, axis=1, kind="stable")[:, :10])
    np.testing.assert_allclose(similarities, -np.sort(-expected, axis=1)[:, :10], atol=1e-12)


def test_equals_come_in_the_order_of_their_ids():
    """Also when their number is many times k, and wherever in a block they lie."""
    stored, scales = encode(np.repeat(unit_rows(2), 2500, axis=0), "float16")
    vectors = GalleryVectors(np.arange(5000), stored, scales)
    positions, similarities = top_k(vectors, unit_rows(2)[1:], 7)
    np.testing.assert_array_equal(positions[0], np.arange(2500, 2507))
    assert len(set(similarities[0])) == 1


def test_limits_of_top_k():
    vectors = GalleryVectors(np.arange(4), *encode(unit_rows(4), "int8"))
    positions, _ = top_k(vectors, unit_rows(1), 9)
    assert sorted(positions[0]) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="`k` must be at least 1. Received: k=0"):
        top_k(vectors, unit_rows(1), 0)
    with pytest.raises(ValueError, match=r"must be \(Q, 24\). Received: shape \(1, 5\)"):
        top_k(vectors, unit_rows(1, 5), 1)
