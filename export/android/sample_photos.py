"""Photos to try a gallery with."""

import typing
import zipfile

import numpy as np
from PIL import Image

from keras_cdd.data.image import read_image

from ..gallery.image_list import images_below, images_in_csv

LONGEST_SIDE = 512


class SamplePhoto(typing.NamedTuple):
    """Upright pixels uint8 (H, W, 3), and what they show (None if unknown)."""

    pixels: np.ndarray
    identity: str | None


def sample_photos(gallery, count, source=None):
    """Photos of as many identities as can be, spread over all of them.

    Args:
        gallery: `Gallery`.
        count: how many; there may be fewer.
        source: a CSV (its query rows, if it has some), or whatever `images_below` takes. Without it, the gallery's own
            images, or their thumbnails where the files are gone.

    Returns:
        List of `SamplePhoto`, at most 512 pixels a side.

    Raises:
        FileNotFoundError, ValueError: if the source is missing or cannot be read.
    """
    if source is None:
        labels = gallery.labels()
        numbers = {path: number for path, number in zip(labels, gallery.vectors().ids, strict=True)}
        return [
            SamplePhoto(_smaller(_own_image(gallery, numbers[path])), labels[path]) for path in _spread(labels, count)
        ]
    listed = source.lower().endswith(".csv") and not zipfile.is_zipfile(source)
    records = images_in_csv(source, "query") if listed else images_below(source)
    labels = {record.path: None if record.identity is None else str(record.identity) for record in records}
    found = set(gallery.labels().values())
    findable = {path: label for path, label in labels.items() if label in found}
    return [SamplePhoto(_smaller(read_image(path)), labels[path]) for path in _spread(findable or labels, count)]


def _spread(labels, count):
    """Some paths: one an identity, evenly spread; if there are too few identities, any."""
    first = {}
    for path, label in labels.items():
        first.setdefault(label, path)
    paths = list(first.values()) if len(first) >= count else list(labels)
    count = min(count, len(paths))
    return [paths[number * len(paths) // count] for number in range(count)]


def _own_image(gallery, number):
    image = gallery.images([number])[0]
    try:
        return read_image(image.path)
    except (OSError, ValueError):
        return np.asarray(image.picture())


def _smaller(pixels):
    image = Image.fromarray(pixels)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return np.asarray(image)
