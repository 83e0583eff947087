"""Images of one batch, read and embedded."""

import concurrent.futures
import typing

import numpy as np

from keras_cdd.data.image import read_image, resize
from keras_cdd.errors import UserError

from .image import GalleryImage, thumbnail_of
from .vector_codec import STORED, encode


class EmbeddedBatch(typing.NamedTuple):
    """What became of a batch of records.

    Attributes:
        images: list of the N `GalleryImage`s that could be read.
        stored, scales: their embeddings as `vector_codec.encode` returns them, (N, D) and (N,).
        unreadable: position in the batch -> exception that says why that image cannot be read.
    """

    images: list
    stored: np.ndarray
    scales: np.ndarray
    unreadable: dict

    def without(self, paths):
        """The batch without the images of these paths."""
        rows = [row for row, image in enumerate(self.images) if image.path not in paths]
        return self._replace(
            images=[self.images[row] for row in rows], stored=self.stored[rows], scales=self.scales[rows]
        )


def embed_batch(model, records, embedding_type):
    """Reads and embeds images.

    Args:
        model: `EmbeddingModel`.
        records: list of `ImageRecord`s.
        embedding_type: "int8" or "float16".

    Returns:
        `EmbeddedBatch`.

    Raises:
        UserError: if the model returns zero or non-finite embeddings.
    """
    size = model.image_size
    with concurrent.futures.ThreadPoolExecutor() as threads:
        read = list(threads.map(lambda record: _read(record, size), records))
    unreadable = {row: image for row, image in enumerate(read) if isinstance(image, Exception)}
    if len(unreadable) == len(read):
        nothing = np.empty((0, model.embedder.embedding_size), STORED[embedding_type])
        return EmbeddedBatch([], nothing, np.empty(0), unreadable)
    images, pixels = zip(*(image for row, image in enumerate(read) if row not in unreadable), strict=True)
    return EmbeddedBatch(list(images), *encode(model.embed(np.stack(pixels)), embedding_type), unreadable)


def embedded_batches(model, records, batch_size, embedding_type, progress, strict=False):
    """Reads and embeds images batch by batch.

    Args:
        model: `EmbeddingModel`.
        records: list of `ImageRecord`s.
        batch_size: records per batch.
        embedding_type: "int8" or "float16".
        progress: `Progress`.
        strict: if True, an unreadable image is an error; by default it is reported and skipped.

    Yields:
        `EmbeddedBatch`, one for every `batch_size` records, even if none of them can be read.

    Raises:
        FileNotFoundError: if an image is missing and `strict` is set.
        ValueError: if an image is unreadable and `strict` is set.
        UserError: if the model returns zero or non-finite embeddings.
    """
    for start in range(0, len(records), batch_size):
        part = records[start : start + batch_size]
        batch = embed_batch(model, part, embedding_type)
        for error in batch.unreadable.values():
            if strict:
                raise error
            progress.note(f"skipped: {error}")
        yield batch
        progress.advance(len(part))


def _read(record, size):
    """`(GalleryImage, pixels)`, or the exception that explains why the image cannot be read."""
    try:
        record.path.encode()
        image = read_image(record.path)
    except UnicodeEncodeError:
        return UserError(f"Image {record.path!r} has a name that is no UTF-8; rename it.")
    except (OSError, ValueError) as error:
        return error
    row = GalleryImage(record.path, _text(record.identity), _text(record.camera), thumbnail_of(image))
    return row, resize(image, size)


def _text(name):
    return None if name is None else str(name)
