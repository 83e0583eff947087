"""The format of a gallery file: its tables and its metadata."""

import dataclasses
import re

from .vector_codec import STORED

FORMAT, VERSION = "keras_cdd gallery", 1
LARGEST_SIDE, LARGEST_EMBEDDING = 8192, 65536

TABLES = (
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE images(id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, identity TEXT, camera TEXT, "
    "embedding BLOB NOT NULL, scale REAL NOT NULL, thumbnail BLOB NOT NULL)",
)

DOCUMENTATION = """\
A gallery of images that are searched by likeness.
Table `meta` holds key and value: `documentation`, this text; `format` and `version` of this file; `model_file` and
`model_sha256`, the model that embedded the images and must embed the queries; `gallery_model_file` and
`gallery_model_sha256`, only if another model embedded the images; `image_height` and `image_width` of the input of
`model_file`; `embedding_size`, how many numbers an embedding has; `embedding_type`, how they are stored;
`unfinished`, there only while images are being added or after that was interrupted, names their source.
Table `images` holds one image a row: `path` as it was given when the image was added; `identity` (what is shown) and
`camera` (who took it), both NULL if unknown; `embedding` and `scale`; `thumbnail`, a JPEG with at most 96 pixels a
side.
The image is turned upright, resized by exact area averaging and embedded. Its embedding x, of length 1, is stored as
embedding_size numbers: for `int8` one signed byte each, q = round(127 x / max|x|); for `float16` two bytes each, IEEE
binary16, little-endian. scale = 1 / (length of the stored numbers). The likeness of a query, itself of length 1, is
sum(query * stored numbers) * scale, from -1 to 1. A ranking has the most alike first; equals in the order of their
ids."""


@dataclasses.dataclass(frozen=True)
class GalleryFormat:
    """Describes the embeddings of a gallery and the model that made them.

    Attributes:
        model_sha256: hex digest of the file of the model that embeds queries.
        model_file: name of that file.
        image_size: (height, width) of the model's input in pixels.
        embedding_size: length of an embedding.
        embedding_type: "int8" or "float16".
        gallery_model_sha256, gallery_model_file: of the model that embeds the gallery's images, if it is another one;
            None by default.
    """

    model_sha256: str
    model_file: str
    image_size: tuple[int, int]
    embedding_size: int
    embedding_type: str
    gallery_model_sha256: str | None = None
    gallery_model_file: str | None = None

    def as_meta(self):
        """The rows of table `meta`: key -> value, all text."""
        height, width = self.image_size
        values = {
            "format": FORMAT,
            "version": VERSION,
            "model_sha256": self.model_sha256,
            "model_file": self.model_file,
            "image_height": height,
            "image_width": width,
            "embedding_size": self.embedding_size,
            "embedding_type": self.embedding_type,
            "documentation": DOCUMENTATION,
        }
        if self.gallery_model_sha256 is not None:
            values |= {"gallery_model_sha256": self.gallery_model_sha256, "gallery_model_file": self.gallery_model_file}
        return {key: str(value) for key, value in values.items()}

    @classmethod
    def from_meta(cls, meta):
        """Reads the dict that `as_meta` wrote.

        Raises:
            ValueError: if a value is missing or invalid; the message names it.
        """
        if meta.get("format") != FORMAT:
            raise ValueError("it is no gallery")
        if meta.get("version") != str(VERSION):
            raise ValueError(f"it has version {meta.get('version')!r} and this program reads version {VERSION}")
        other = meta.get("gallery_model_sha256")
        for key in ("model_sha256", *(["gallery_model_sha256"] if other is not None else [])):
            if not re.fullmatch("[0-9a-f]{64}", str(meta.get(key))):
                raise ValueError(f"its {key} is no SHA-256")
        if meta.get("embedding_type") not in STORED:
            raise ValueError(f"its embedding_type is not one of {', '.join(STORED)}")
        size = tuple(_count(meta, key, LARGEST_SIDE) for key in ("image_height", "image_width"))
        numbers = _count(meta, "embedding_size", LARGEST_EMBEDDING)
        names = (meta["model_sha256"], str(meta.get("model_file")))
        others = () if other is None else (other, str(meta.get("gallery_model_file")))
        return cls(*names, size, numbers, meta["embedding_type"], *others)


def _count(meta, key, most):
    text = str(meta.get(key))
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= most:
        raise ValueError(f"its {key} is no number from 1 to {most}")
    return int(text)
