"""The images of a list of records, decoded once where they fit into memory (NumPy)."""

import concurrent.futures
import itertools
import logging
import os

import numpy as np

from keras_cdd.data.image import load_image, read_image
from keras_cdd.data.records import MEAN_COLOUR
from keras_cdd.errors import UserError

# Pixels of a file from which on decoding in threads pays; below, two threads took twice the time of one.
LARGE_IMAGE = 100_000


class ImageStore:
    """Gives uint8 batches by position; large files are decoded in parallel threads.

    Images that fit into `cache_bytes` together are decoded at once and kept; unreadable ones are then
    reported and left out of `records`, so that positions, records and images always agree. Otherwise they are
    decoded batch by batch; an unreadable one is reported when it is met and shows one grey.

    Args:
        records: sequence of `ImageRecord`.
        image_size: (height, width).
        strict: an unreadable image is an error.
        cache_bytes: how much memory may be used to keep images.

    Attributes:
        records: tuple of `ImageRecord`; positions refer to it.
        image_size: (height, width).
        cached: whether the images are kept.

    Raises:
        FileNotFoundError: for a missing image, if `strict`.
        ValueError: for an unreadable image, if `strict`; if none of the images can be read.
    """

    def __init__(self, records, image_size, strict=False, cache_bytes=4 << 30):
        self.records = tuple(records)
        self.image_size = tuple(image_size)
        self.cached = len(self.records) * self._image_bytes() <= cache_bytes
        self._strict = strict
        self._threads = concurrent.futures.ThreadPoolExecutor(_workers(self.records), "images")
        if self.cached:
            self._pixels = self._keep_readable()
            self._threads.shutdown()

    def __len__(self):
        return len(self.records)

    def take(self, positions):
        """uint8 (len(positions), height, width, 3)."""
        if self.cached:
            return self._pixels[positions]
        records = [self.records[position] for position in positions]
        pixels, readable = self._read(records)
        _report(records, readable)
        return pixels

    def _image_bytes(self):
        return 3 * self.image_size[0] * self.image_size[1]

    def _keep_readable(self):
        pixels, readable = self._read(self.records)
        _report(self.records, readable)
        if self.records and not readable.any():
            raise UserError(
                f"None of {len(readable)} images can be read, the first is {self.records[0].path}; check the data."
            )
        self.records = tuple(itertools.compress(self.records, readable))
        return pixels if readable.all() else pixels[readable]

    def _read(self, records):
        """uint8 pixels (len(records), height, width, 3) and which could be read, bool (len(records),)."""
        pixels = np.empty((len(records), *self.image_size, 3), np.uint8)

        def read(position):
            try:
                pixels[position] = load_image(records[position].path, self.image_size)
                return True
            except (OSError, ValueError):
                if self._strict:
                    raise
                pixels[position] = MEAN_COLOUR
                return False

        return pixels, np.fromiter(self._threads.map(read, range(len(records))), bool, len(records))


def _workers(records):
    """How many threads to decode with; on small images, waiting for the interpreter costs more."""
    for record in records:
        try:
            height, width, _ = read_image(record.path).shape
            return os.cpu_count() or 1 if height * width > LARGE_IMAGE else 1
        except (OSError, ValueError):
            continue
    return 1


def _report(records, readable):
    unreadable = [record.path for record, good in zip(records, readable, strict=True) if not good]
    if unreadable:
        logging.warning("%d of %d images are unreadable, the first is %s", len(unreadable), len(records), unreadable[0])
