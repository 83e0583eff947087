"""A gallery file: an SQLite database that stays valid if a process is killed."""

import contextlib
import pathlib
import sqlite3

from keras_cdd.errors import MissingFileError, UserError

from .format import TABLES, GalleryFormat
from .image import GalleryImage
from .vectors import GalleryVectors

SECONDS_TO_WAIT = 5
DAMAGED = (sqlite3.Error, ValueError, TypeError, OverflowError, MemoryError)
INSERT = (
    "INSERT INTO images(path, identity, camera, embedding, scale, thumbnail) VALUES(?, ?, ?, ?, ?, ?) "
    "ON CONFLICT(path) DO UPDATE SET identity = excluded.identity, camera = excluded.camera, "
    "embedding = excluded.embedding, scale = excluded.scale, thumbnail = excluded.thumbnail"
)
ODD_TEXTS = (
    "SELECT EXISTS (SELECT 1 FROM images WHERE typeof(path) != 'text' OR typeof(identity) NOT IN ('text', 'null'))"
)


class Gallery:
    """An open gallery file; a context manager that closes it.

    Args:
        path: path of the file.
        create: function that returns the `GalleryFormat` of a new gallery; called if the file is missing or empty.
            Default: None, the gallery must exist.

    Attributes:
        path: `pathlib.Path` of the file.
        format: its `GalleryFormat`.
        created: True if this object created the gallery.

    Raises:
        MissingFileError: if the file, or the folder for a new one, does not exist.
        ValueError: if the file is not a gallery or is damaged. Every method that reads raises it too, because damage
            may show only when the damaged part is read.
    """

    def __init__(self, path, create=None):
        self.path = pathlib.Path(path)
        if not create and not self.path.is_file():
            raise MissingFileError(f"There is no gallery {path}; check the path, or make it with build_gallery.")
        if not self.path.parent.is_dir():
            raise MissingFileError(f"There is no folder for gallery {path}; make it first.")
        self._file = None
        try:
            with self._explained():
                # Not read-only: SQLite must be able to roll back the journal of a killed writer.
                mode = "rwc" if create else "rw"
                address = f"{self.path.resolve().as_uri()}?mode={mode}"
                self._file = sqlite3.connect(address, SECONDS_TO_WAIT, uri=True, isolation_level=None)
                self._file.execute("PRAGMA trusted_schema = OFF")
                self._check_length()
                self.created = bool(create) and self._create(create)
                self.format = GalleryFormat.from_meta(dict(self._file.execute("SELECT key, value FROM meta")))
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Closes the file; no journal is left beside it."""
        if self._file is not None:
            self._file.close()

    def __len__(self):
        with self._explained():
            return self._file.execute("SELECT count(*) FROM images").fetchone()[0]

    def __contains__(self, path):
        try:
            path.encode()
        except UnicodeEncodeError:
            return False  # no gallery can hold it
        with self._explained():
            return self._file.execute("SELECT 1 FROM images WHERE path = ?", [path]).fetchone() is not None

    @property
    def unfinished(self):
        """The source of images whose adding was interrupted or is under way, or None."""
        with self._explained():
            row = self._file.execute("SELECT value FROM meta WHERE key = 'unfinished'").fetchone()
            return row and str(row[0])

    def check(self):
        """Checks the whole file and all rows, in bounded memory.

        Returns:
            The gallery itself.

        Raises:
            ValueError: if damage is found.
        """
        with self._explained():
            found = self._file.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise ValueError(found)
            if self._file.execute(ODD_TEXTS).fetchone()[0]:
                raise ValueError("a path or an identity is no text")
            for _ in GalleryVectors.blocks(*self._embeddings()):
                pass
        return self

    def require_model(self, model, adds=False):
        """Checks that the gallery was built with a model, or for it.

        Args:
            model: `EmbeddingModel`.
            adds: whether it shall embed images of the gallery; by default it embeds queries.

        Raises:
            UserError: if it is another model.
        """
        expected, name = self.format.model_sha256, self.format.model_file
        if adds and self.format.gallery_model_sha256 is not None:
            expected, name = self.format.gallery_model_sha256, self.format.gallery_model_file
        if expected != model.sha256:
            raise UserError(
                f"Gallery {self.path} was built with another model, {name}, than {model.path}: their SHA-256 differ. "
                "Give that model, or build another gallery; a damaged model differs too."
            )

    def labels(self):
        """Path -> identity (None if unknown) of all images, in the order of their ids."""
        with self._explained():
            labels = dict(self._file.execute("SELECT path, identity FROM images ORDER BY id"))
            if not all(isinstance(path, str) and isinstance(label or "", str) for path, label in labels.items()):
                raise ValueError("a path or an identity is no text")
            return labels

    def vectors(self):
        """All embeddings as `GalleryVectors`."""
        with self._explained():
            return GalleryVectors.from_rows(*self._embeddings())

    def ids(self, one_each=False):
        """Ids of all images, ascending; with `one_each`, only of the first image of every identity."""
        with self._explained():
            if one_each:
                rows = self._file.execute("SELECT min(id) FROM images GROUP BY identity ORDER BY min(id)")
            else:
                rows = self._file.execute("SELECT id FROM images ORDER BY id")
            return [number for (number,) in rows]

    def identities(self):
        """Set of the identities, with None if that of an image is unknown."""
        with self._explained():
            return {identity for (identity,) in self._file.execute("SELECT DISTINCT identity FROM images")}

    def identity_of(self, path, otherwise=None):
        """The identity of the image with this path; `otherwise` if the gallery has no such image."""
        if path not in self:
            return otherwise
        with self._explained():
            return self._file.execute("SELECT identity FROM images WHERE path = ?", [path]).fetchone()[0]

    def images(self, ids):
        """List of the `GalleryImage`s with the given ids, in the order of `ids`."""
        with self._explained():
            return [self._image(int(number)) for number in ids]

    def start(self, source):
        """Marks the gallery as unfinished; an earlier unfinished source keeps its mark."""
        with self._transaction():
            self._file.execute("INSERT OR IGNORE INTO meta VALUES('unfinished', ?)", [source])

    def finish(self, source):
        """Removes the mark of `start` if it names this source: all its images have been added."""
        with self._transaction():
            self._file.execute("DELETE FROM meta WHERE key = 'unfinished' AND value = ?", [source])

    def add(self, images, stored, scales):
        """Adds images in one transaction; images whose path is already in the gallery are replaced.

        Args:
            images: list of N `GalleryImage`s.
            stored, scales: their embeddings as `vector_codec.encode` returns them, (N, D) and (N,).
        """
        with self._transaction():
            for image, row, scale in zip(images, stored, scales, strict=True):
                values = (image.path, image.identity, image.camera, row.tobytes(), float(scale), image.thumbnail)
                self._file.execute(INSERT, values)

    def remove(self, paths):
        """Removes the images with these paths in one transaction.

        Raises:
            UserError: if a path is not in the gallery; nothing is removed then.
        """
        absent = sorted(path for path in set(paths) if path not in self)
        if absent:
            raise UserError(f"Gallery {self.path} holds no image {absent[0]}; paths must be written as it does.")
        with self._transaction():
            self._file.executemany("DELETE FROM images WHERE path = ?", [(path,) for path in paths])

    def copy_to(self, path):
        """Writes a compact copy to `path`, which must not exist."""
        with self._explained():
            self._file.execute("VACUUM INTO ?", [str(path)])

    def _check_length(self):
        """Raises ValueError if the file is truncated; SQLite would read zeros where the last page is cut off."""
        questions = ("PRAGMA page_count", "PRAGMA page_size")
        pages, size = (self._file.execute(question).fetchone()[0] for question in questions)
        if self.path.is_file() and self.path.stat().st_size < pages * size:
            raise ValueError("its end is missing")

    def _create(self, create):
        """Creates the tables in one transaction if the file is empty; returns whether it was."""
        if self._file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return False
        meta = create().as_meta()
        with self._transaction():
            for table in TABLES:
                self._file.execute(table)
            self._file.executemany("INSERT INTO meta VALUES(?, ?)", meta.items())
        return True

    def _embeddings(self):
        """What the functions of `GalleryVectors` take."""
        rows = self._file.execute("SELECT id, embedding, scale FROM images ORDER BY id")
        return rows, self.format.embedding_type, self.format.embedding_size

    def _image(self, number):
        query = "SELECT path, identity, camera, thumbnail FROM images WHERE id = ?"
        image = GalleryImage(*self._file.execute(query, [number]).fetchone())
        texts = all(isinstance(text, str) for text in (image.path, image.identity or "", image.camera or ""))
        if not texts or not isinstance(image.thumbnail, bytes):
            raise ValueError(f"the row of image {number} is damaged")
        return image

    @contextlib.contextmanager
    def _transaction(self):
        with self._explained():
            self._file.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                # On a full disk SQLite has rolled back by itself.
                if self._file.in_transaction:
                    self._file.execute("ROLLBACK")
                raise
            self._file.execute("COMMIT")

    @contextlib.contextmanager
    def _explained(self):
        """Turns errors of SQLite and of damaged content into one ValueError that names the file."""
        try:
            yield
        except _Explained:
            raise
        except DAMAGED as error:
            raise _Explained(f"Gallery {self.path} cannot be used: {_reason(error)}") from error


class _Explained(UserError):
    """An error whose message already names the file."""


def _reason(error):
    code = getattr(error, "sqlite_errorname", "")
    text = " ".join(str(error).split()) or type(error).__name__
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "another process is writing it; try again when that is done."
    if code.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return f"{text}; check the disk and the file's permissions."
    return f"{text[:200]}; build it again."
