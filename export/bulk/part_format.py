"""What the Parquet files of one list of images say about themselves."""

import dataclasses
import hashlib
import json
import re

from keras_cdd.errors import UserError

from ..gallery.format import GalleryFormat

FORMAT, VERSION = "keras_cdd embeddings", 1
SUFFIX = ".parquet"


@dataclasses.dataclass(frozen=True)
class PartFormat:
    """How a list of images is divided into files, and what embedded them; the same in all files.

    File k holds the images at `rows * k` to `rows * (k + 1)` of the list, without those that could not be read.

    Attributes:
        gallery: `GalleryFormat` of the gallery that the files make.
        list_sha256: hex digest of paths, identities and cameras, see `list_digest`.
        images: length of the list.
        rows: images per file; the last file may have fewer.
        batch_size: images that were embedded at a time; divides `rows`.
        source: folder or CSV file of the list, as it was given.
    """

    gallery: GalleryFormat
    list_sha256: str
    images: int
    rows: int
    batch_size: int
    source: str

    @property
    def parts(self):
        """Number of files."""
        return -(-self.images // self.rows)

    def name(self, part):
        """Name of file `part`, such as `part-00042-of-00100.parquet`."""
        return f"part-{part:05}-of-{self.parts:05}{SUFFIX}"

    def positions(self, part):
        """`range` of the positions in the list that file `part` holds."""
        return range(part * self.rows, min((part + 1) * self.rows, self.images))

    def to_json(self):
        """JSON text that `from_json` reads."""
        values = {**dataclasses.asdict(self), "gallery": self.gallery.as_meta()}
        return json.dumps({"format": FORMAT, "version": VERSION, **values})

    @classmethod
    def from_json(cls, text):
        """Reads the text of `to_json`.

        Raises:
            ValueError: if a value is missing or invalid; the message names it.
        """
        values = json.loads(text)
        if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
            raise ValueError("it holds no embeddings of this program")
        version = values.pop("version", None)
        if version != VERSION:
            raise ValueError(f"it has version {version!r} and this program reads version {VERSION}")
        for name in ("images", "rows", "batch_size"):
            if type(values.get(name)) is not int or values[name] < 1:
                raise ValueError(f"its {name} is no positive number")
        if not re.fullmatch("[0-9a-f]{64}", str(values.get("list_sha256"))) or values["rows"] % values["batch_size"]:
            raise ValueError("its description is damaged")
        gallery = values.get("gallery")
        if not isinstance(gallery, dict):
            raise ValueError("it does not say what embedded it")
        return cls(**{**values, "gallery": GalleryFormat.from_meta(gallery), "source": str(values.get("source"))})

    def require_same(self, other, place):
        """Checks that files of format `other` in `place` go on with this list, model and division.

        Raises:
            UserError: if they do not; the message says in what they differ.
        """
        mine, theirs = self.gallery, other.gallery
        if mine.model_sha256 != theirs.model_sha256:
            what = f"were made by another model, {theirs.model_file}, than {mine.model_file}: their SHA-256 differ"
        elif self.list_sha256 != other.list_sha256:
            what = f"are of another list, {other.images} images of {other.source}; this one has {self.images}"
        elif mine.embedding_type != theirs.embedding_type:
            what = f"are {theirs.embedding_type}, not --embedding_type={mine.embedding_type}"
        elif (self.rows, self.batch_size) != (other.rows, other.batch_size):
            what = f"were made with --rows={other.rows} --batch_size={other.batch_size}"
        else:
            return
        raise UserError(f"The embeddings in {place} {what}. Repeat the command as it was, or choose another folder.")


def list_digest(records):
    """Hex SHA-256 of the paths, identities and cameras of `ImageRecord`s, in their order."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(json.dumps([record.path, record.identity, record.camera]).encode() + b"\n")
    return digest.hexdigest()
