"""Sample photos for trying out a gallery."""

import typing
import zipfile

import numpy as np
from PIL import Image

from keras_cdd.data.image import read_image

from ..gallery.image_list import images_below, images_in_csv

LONGEST_SIDE = 512


class SamplePhoto(typing.NamedTuple):
    """Upright pixels, uint8 (H, W, 3), and their identity (None if unknown)."""

    pixels: np.ndarray
    identity: str | None


def sample_photos(gallery, count, source=None):
    """Chooses photos of as many identities as possible, spread evenly over all identities.

    Args:
        gallery: `Gallery`.
        count: number of photos; fewer are returned if there are fewer.
        source: path of a CSV (its query rows, or all rows if it has none), or any root that `images_below` accepts.
            Photos with an identity that is in the gallery are preferred. Default: the gallery's own images, or their
            thumbnails if the files no longer exist.

    Returns:
        List of `SamplePhoto`, with at most 512 pixels a side.

    Raises:
        FileNotFoundError: if the source is missing.
        ValueError: if the source cannot be read.
    """
    if source is None:
        ids = gallery.ids(one_each=True)
        images = gallery.images(_evenly(ids if len(ids) >= count else gallery.ids(), count))
        return [SamplePhoto(_smaller(_own_pixels(image)), image.identity) for image in images]
    listed = source.lower().endswith(".csv") and not zipfile.is_zipfile(source)
    records = images_in_csv(source, "query") if listed else images_below(source)
    labels = {record.path: None if record.identity is None else str(record.identity) for record in records}
    found = gallery.identities()
    findable = {path: label for path, label in labels.items() if label in found}
    return [SamplePhoto(_smaller(read_image(path)), labels[path]) for path in _spread(findable or labels, count)]


def _spread(labels, count):
    """`count` evenly spread paths: one of each identity, or any if there are too few identities."""
    first = {}
    for path, label in labels.items():
        first.setdefault(label, path)
    return _evenly(list(first.values()) if len(first) >= count else list(labels), count)


def _evenly(items, count):
    count = min(count, len(items))
    return [items[number * len(items) // count] for number in range(count)]


def _own_pixels(image):
    try:
        return read_image(image.path)
    except (OSError, ValueError):
        return np.asarray(image.picture())


def _smaller(pixels):
    image = Image.fromarray(pixels)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return np.asarray(image)
