"""The share of the files that one process writes."""

import pathlib
import typing

from keras_cdd.run_folder.writing import whole

from ..gallery.embedded_batch import embedded_batches
from .part_file import read_format, table_of, write_table
from .part_folder import existing


class Written(typing.NamedTuple):
    """The number of images that were embedded, and why others could not be read: a list of exceptions."""

    images: int
    unreadable: list


def parts_to_write(part_format, folder):
    """Numbers of the files that are not there yet.

    Args:
        part_format: `PartFormat` of the files.
        folder: where they are.

    Raises:
        UserError: if a file there belongs to another list, model or type.
    """
    found = set(existing(folder))
    for name in sorted(found):
        part_format.require_same(read_format(pathlib.Path(folder) / name), folder)
    return [part for part in range(part_format.parts) if part_format.name(part) not in found]


def write_parts(part_format, folder, parts, model, records, progress, strict=False):
    """Embeds images and writes them, each file whole or not at all.

    Args:
        part_format: `PartFormat` of the list.
        folder: existing folder.
        parts: numbers of the files to write.
        model: `EmbeddingModel`.
        records: list of all `ImageRecord`s.
        progress: `Progress`.
        strict: if True, an unreadable image is an error; by default it is reported and skipped.

    Returns:
        `Written`.

    Raises:
        Those of `embedded_batches`.
    """
    images, unreadable = 0, []
    for part in parts:
        positions = part_format.positions(part)
        batches = list(
            embedded_batches(
                model,
                records[positions.start : positions.stop],
                part_format.batch_size,
                part_format.gallery.embedding_type,
                progress,
                strict,
            )
        )
        with whole(pathlib.Path(folder) / part_format.name(part)) as fresh:
            write_table(table_of(part_format, batches), fresh)
        images += sum(len(batch.images) for batch in batches)
        unreadable += [error for batch in batches for error in batch.unreadable.values()]
    return Written(images, unreadable)
