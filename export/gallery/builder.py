"""Adds embedded images to a gallery."""

import contextlib
import typing


class Added(typing.NamedTuple):
    """The number of images that were added, and why others could not be read: a list of exceptions."""

    count: int
    unreadable: list


def add_batches(gallery, batches):
    """Adds images to a gallery; an image whose path is already in it is replaced.

    Every batch is one transaction, so an interruption loses at most the current batch.

    Args:
        gallery: `Gallery` of the model that embedded them.
        batches: generator of `EmbeddedBatch`es; it is closed, and so is what it shows, before an error goes on.

    Returns:
        `Added`.
    """
    added, unreadable = 0, []
    with contextlib.closing(batches):
        for batch in batches:
            unreadable += batch.unreadable.values()
            if batch.images:
                gallery.add(batch.images, batch.stored, batch.scales)
                added += len(batch.images)
    return Added(added, unreadable)
