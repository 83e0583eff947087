"""Embeddings of other programs are found by the paths of the images, or the file's fault is named."""

import importlib.util

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from keras_cdd.data import ImageRecord
from keras_cdd.data.embedding_file import EmbeddingFile
from keras_cdd.errors import MissingFileError, UserError

PATHS = ["photos/a.png", "b.zip!/in/b.png", "c.png"]
ROWS = np.arange(1, 13, dtype=np.float64).reshape(3, 4)


@pytest.fixture
def write(tmp_path):
    def written(**arrays):
        np.savez(tmp_path / "e.npz", **arrays)
        return tmp_path / "e.npz"

    return written


def records(paths):
    return [ImageRecord(path, 0) for path in paths]


def test_rows_follow_the_records(write):
    file = EmbeddingFile(write(path=PATHS, embedding=ROWS))
    found = file.of(records([PATHS[2], PATHS[0], PATHS[2]]))
    np.testing.assert_array_equal(found, ROWS[[2, 0, 2]])
    assert found.dtype == np.float32 and file.embedding_size == 4


def test_paths_may_be_relative_to_the_folder_of_the_data(write, tmp_path):
    file = EmbeddingFile(write(path=PATHS, embedding=ROWS), tmp_path / "data")
    found = file.of(records([f"{tmp_path}/data/{path}" for path in PATHS[::-1]]))
    np.testing.assert_array_equal(found, ROWS[::-1])


def test_a_missing_image_is_named(write, tmp_path):
    file = EmbeddingFile(write(path=PATHS, embedding=ROWS), tmp_path)
    with pytest.raises(UserError, match="lack 1 of 2 images, as d.png"):
        file.of(records(["c.png", "d.png"]))


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"path": PATHS}, "embedding"),
        ({"path": PATHS[:2], "embedding": ROWS}, r"`path` has shape \(2,\) and `embedding` \(3, 4\)"),
        ({"path": PATHS, "embedding": ROWS[0, :3]}, r"not \(N,\) and \(N, D\)"),
        ({"path": PATHS, "embedding": ROWS * [1, 1, 1, np.nan]}, "zero or no number"),
        ({"path": PATHS, "embedding": ROWS * [[1], [0], [1]]}, "zero or no number"),
        ({"path": [*PATHS[:2], PATHS[0]], "embedding": ROWS}, "1 paths twice"),
        ({"path": PATHS, "embedding": ["a", "b", "c"]}, "could not convert"),
    ],
)
def test_faults_of_a_file_are_named(write, arrays, message):
    with pytest.raises(UserError, match=message):
        EmbeddingFile(write(**arrays))


def test_places_and_kinds_are_named(tmp_path):
    with pytest.raises(MissingFileError, match="no embeddings .*e.npz"):
        EmbeddingFile(tmp_path / "e.npz")
    with pytest.raises(UserError, match="come as .npz or .parquet. Received: .*e.csv"):
        EmbeddingFile(tmp_path / "e.csv")
    (tmp_path / "e.npz").write_bytes(b"PK\3\4")
    with pytest.raises(UserError, match="e.npz cannot be used"):
        EmbeddingFile(tmp_path / "e.npz")


def test_parquet_needs_pyarrow(tmp_path, monkeypatch):
    (tmp_path / "e.parquet").touch()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs pyarrow; pip install pyarrow==25.0.0, or save the embeddings as .npz"):
        EmbeddingFile(tmp_path / "e.parquet")


def test_a_parquet_file_gives_the_same(tmp_path):
    parquet.write_table(pyarrow.table({"path": PATHS, "embedding": ROWS.tolist()}), tmp_path / "e.parquet")
    np.testing.assert_array_equal(EmbeddingFile(tmp_path / "e.parquet").of(records(PATHS)), ROWS)
    ragged = pyarrow.table({"path": PATHS, "embedding": [[1.0], [1.0, 2.0], [1.0]]})
    parquet.write_table(ragged, tmp_path / "e.parquet")
    with pytest.raises(UserError, match="different lengths"):
        EmbeddingFile(tmp_path / "e.parquet")
