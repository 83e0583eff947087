"""A gallery file: SQLite, whole at every moment, whatever is killed."""

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


class Gallery:
    """An opened gallery file; a context manager that closes it.

    Args:
        path: of the file.
        create: function that gives the `GalleryFormat` of a new gallery; called if the file is not there or is empty.
            Without it, the gallery must be there.

    Attributes:
        path: of the file.
        format: its `GalleryFormat`.
        created: whether it is new.

    Raises:
        FileNotFoundError: if there is no such file, or no folder for a new one.
        ValueError: if the file is no gallery, or damaged. So does every method that reads; what is damaged need not
            show before it is read.
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
                # Not read-only: what a killed writer left beside the file is rolled back by whoever comes next.
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
        """Leaves one file and nothing beside it."""
        if self._file is not None:
            self._file.close()

    def __len__(self):
        with self._explained():
            return self._file.execute("SELECT count(*) FROM images").fetchone()[0]

    @property
    def unfinished(self):
        """The source from which images were being added when that was interrupted, or None."""
        with self._explained():
            row = self._file.execute("SELECT value FROM meta WHERE key = 'unfinished'").fetchone()
            return row and str(row[0])

    def check(self):
        """Reads everything.

        Returns:
            Itself.

        Raises:
            ValueError: if anything is damaged that can be seen.
        """
        with self._explained():
            found = self._file.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise ValueError(found)
        self.vectors()
        return self

    def require_model(self, model):
        """Raises ValueError unless the `EmbeddingModel` is the one that made this gallery."""
        if self.format.model_sha256 != model.sha256:
            raise UserError(
                f"Gallery {self.path} was built with another model, {self.format.model_file}, than {model.path}: their "
                "SHA-256 differ. Give that model, or build another gallery; a damaged model differs too."
            )

    def labels(self):
        """Path -> identity (None if unknown) of all images, in the order of their ids."""
        with self._explained():
            labels = dict(self._file.execute("SELECT path, identity FROM images ORDER BY id"))
            if not all(isinstance(path, str) and isinstance(label or "", str) for path, label in labels.items()):
                raise ValueError("a path or an identity is no text")
            return labels

    def vectors(self):
        """All embeddings: `GalleryVectors`."""
        with self._explained():
            rows = self._file.execute("SELECT id, embedding, scale FROM images ORDER BY id").fetchall()
            return GalleryVectors.from_rows(rows, self.format.embedding_type, self.format.embedding_size)

    def images(self, ids):
        """The `GalleryImage`s of some ids, in their order."""
        with self._explained():
            return [self._image(int(number)) for number in ids]

    def start(self, source):
        """Marks the gallery as unfinished, unless an earlier source is."""
        with self._transaction():
            self._file.execute("INSERT OR IGNORE INTO meta VALUES('unfinished', ?)", [source])

    def finish(self, source):
        """All images of this source are there."""
        with self._transaction():
            self._file.execute("DELETE FROM meta WHERE key = 'unfinished' AND value = ?", [source])

    def add(self, images, stored, scales):
        """Adds `GalleryImage`s with their encoded embeddings, all or none; those with a known path are replaced."""
        with self._transaction():
            for image, row, scale in zip(images, stored, scales, strict=True):
                values = (image.path, image.identity, image.camera, row.tobytes(), float(scale), image.thumbnail)
                self._file.execute(INSERT, values)

    def remove(self, paths):
        """Removes images, all or none.

        Raises:
            ValueError: if one is not there.
        """
        absent = sorted(set(paths) - self.labels().keys())
        if absent:
            raise UserError(f"Gallery {self.path} holds no image {absent[0]}; paths must be written as it does.")
        with self._transaction():
            self._file.executemany("DELETE FROM images WHERE path = ?", [(path,) for path in paths])

    def copy_to(self, path):
        """Writes a compact copy to a path where nothing is."""
        with self._explained():
            self._file.execute("VACUUM INTO ?", [str(path)])

    def _check_length(self):
        """SQLite would read zeros where the last page is cut off."""
        pages, size = (self._file.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size"))
        if self.path.is_file() and self.path.stat().st_size < pages * size:
            raise ValueError("its end is missing")

    def _create(self, create):
        """Whether there was nothing; then the tables are made, all or none."""
        if self._file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return False
        meta = create().as_meta()
        with self._transaction():
            for table in TABLES:
                self._file.execute(table)
            self._file.executemany("INSERT INTO meta VALUES(?, ?)", meta.items())
        return True

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
        """What SQLite or a damaged file throws becomes one ValueError that names the file."""
        try:
            yield
        except _Explained:
            raise
        except DAMAGED as error:
            raise _Explained(f"Gallery {self.path} cannot be used: {_reason(error)}") from error


class _Explained(ValueError):
    """An error that names the file already."""


def _reason(error):
    code = getattr(error, "sqlite_errorname", "")
    text = " ".join(str(error).split()) or type(error).__name__
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "another process is writing it; try again when that is done."
    if code.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return f"{text}; check the disk and the file's permissions."
    return f"{text[:200]}; build it again."
