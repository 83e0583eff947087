"""Adds images to a gallery in batches."""

import concurrent.futures
import typing

import numpy as np

from keras_cdd.data.image import read_image, resize
from keras_cdd.errors import UserError

from .image import GalleryImage, thumbnail_of
from .vector_codec import encode


class Added(typing.NamedTuple):
    """The number of images that were added, and the paths of those that could not be read."""

    count: int
    unreadable: list


def add_images(gallery, model, records, batch_size, progress, strict=False):
    """Embeds images and adds them to a gallery.

    Every batch is one transaction, so an interruption loses at most the current batch.

    Args:
        gallery: `Gallery` of this model.
        model: `EmbeddingModel`.
        records: list of `ImageRecord`s. An image whose path is already in the gallery is replaced.
        batch_size: images per transaction.
        progress: `Progress`.
        strict: if True, an unreadable image is an error; by default it is reported and skipped.

    Returns:
        `Added`.

    Raises:
        FileNotFoundError: if an image is missing and `strict` is set.
        ValueError: if an image is unreadable and `strict` is set.
        UserError: if the model returns zero or non-finite embeddings.
    """
    added, unreadable = 0, []
    with concurrent.futures.ThreadPoolExecutor() as threads:
        for start in range(0, len(records), batch_size):
            batch = records[start : start + batch_size]
            read = threads.map(lambda record: _read(record, model.image_size), batch)
            images = []
            for record, image in zip(batch, read, strict=True):
                if not isinstance(image, Exception):
                    images.append(image)
                    continue
                if strict:
                    raise image
                progress.note(f"skipped: {image}")
                unreadable.append(record.path)
            if images:
                rows, pixels = zip(*images, strict=True)
                gallery.add(rows, *encode(model.embed(np.stack(pixels)), gallery.format.embedding_type))
                added += len(rows)
            progress.advance(len(batch))
    return Added(added, unreadable)


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
