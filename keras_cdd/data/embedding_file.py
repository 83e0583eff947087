"""Embeddings of images in a file, computed by any model in any framework (NumPy; Parquet files need pyarrow)."""

import importlib.util
import os
import pathlib

import numpy as np

from keras_cdd.errors import MissingFileError, UserError

SUFFIXES = (".npz", ".parquet")


class EmbeddingFile:
    """Embeddings by the paths of their images.

    Args:
        path: path of a `.npz` file with the arrays `path` (N,), text, and `embedding` (N, D); or of a `.parquet` file
            with these columns.
        folder: folder that relative paths in the file refer to: that of the CSV file or of the data set. None (the
            default) if the file has the paths of the records as they are.

    Attributes:
        embedding_size: D.

    Raises:
        MissingFileError: if there is no such file.
        UserError: if the file cannot be read, lacks one of the two, names a path twice, holds no numbers or rows of
            zeros, or if pyarrow is needed and not installed.
    """

    def __init__(self, path, folder=None):
        self._path, self._folder = pathlib.Path(path), folder
        names, self._embeddings = _read(self._path)
        self._rows = {name: row for row, name in enumerate(names)}
        if len(self._rows) < len(names):
            raise UserError(f"Embeddings {path} name {len(names) - len(self._rows)} paths twice; give each once.")
        self.embedding_size = self._embeddings.shape[1]

    def of(self, records):
        """Embeddings of images, float32 (len(records), D), not normalised.

        Args:
            records: sequence of `ImageRecord`.

        Raises:
            UserError: if the file lacks an image.
        """
        rows = [self._row(record.path) for record in records]
        missing = [record.path for record, row in zip(records, rows, strict=True) if row is None]
        if missing:
            raise UserError(
                f"Embeddings {self._path} lack {len(missing)} of {len(records)} images, as {missing[0]}; paths are "
                "those of the data set, or relative to its folder or its CSV file."
            )
        return self._embeddings[rows]

    def _row(self, path):
        if path in self._rows or not self._folder:
            return self._rows.get(path)
        return self._rows.get(pathlib.PurePath(os.path.relpath(path, self._folder)).as_posix())


def _read(path):
    """`(paths, embeddings)`: a list of text and float32 (N, D)."""
    if path.suffix not in SUFFIXES:
        raise UserError(f"Embeddings come as {' or '.join(SUFFIXES)}. Received: {path}")
    if not path.is_file():
        raise MissingFileError(f"There are no embeddings {path}; check the path.")
    if path.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise UserError(f"Reading {path} needs pyarrow; pip install pyarrow==25.0.0, or save the embeddings as .npz.")
    try:
        names, embeddings = (_read_npz if path.suffix == ".npz" else _read_parquet)(path)
        return [str(name) for name in names], _checked(names, np.asarray(embeddings, np.float32))
    except ImportError:
        raise
    except Exception as error:
        # A damaged file can fail in many places: zipfile, NumPy, pyarrow.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"Embeddings {path} cannot be used: {reason[:200]}; write `path` and `embedding`.") from error


def _checked(names, embeddings):
    if embeddings.ndim != 2 or not embeddings.size or np.shape(names) != embeddings.shape[:1]:
        raise ValueError(f"`path` has shape {np.shape(names)} and `embedding` {embeddings.shape}, not (N,) and (N, D)")
    if not np.isfinite(embeddings).all() or not np.abs(embeddings).max(1).all():
        raise ValueError("an embedding is zero or no number")
    return embeddings


def _read_npz(path):
    # Opened here, because NumPy leaves a damaged file open.
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
        return archive["path"], archive["embedding"]


def _read_parquet(path):
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path, columns=["path", "embedding"]).combine_chunks()
    lists = table["embedding"].combine_chunks()
    if {len(row) for row in lists} - {len(lists[0])}:
        raise ValueError("the embeddings have different lengths")
    return table["path"].to_pylist(), lists.flatten().to_numpy(zero_copy_only=False).reshape(len(lists), -1)
