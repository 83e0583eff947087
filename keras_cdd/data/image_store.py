"""The images of a list of records, decoded once where they fit into memory or on disk (NumPy)."""

import collections
import concurrent.futures
import itertools
import logging
import os

import numpy as np

from keras_cdd.data.image import load_image, read_image
from keras_cdd.data.pixel_cache import PixelCache
from keras_cdd.data.records import MEAN_COLOUR
from keras_cdd.errors import UserError

# Pixels of a file from which on decoding in threads pays; below, two threads took twice the time of one.
LARGE_IMAGE = 100_000


class ImageStore:
    """Gives uint8 batches by position; large files are decoded in parallel threads.

    Images that fit into `cache_bytes` together are decoded at once and kept in memory; else, where there is a
    `cache_dir`, on disk (`PixelCache`), for later runs as well. Unreadable ones are then reported and left out of
    `records`, so that positions, records and images always agree. Images that are not kept, for want of a folder or
    of space, are decoded batch by batch; an unreadable one is reported when it is met and shows one grey.

    Args:
        records: sequence of `ImageRecord`.
        image_size: (height, width).
        strict: an unreadable image is an error.
        cache_bytes: how much memory may be used to keep images.
        cache_dir: folder for what does not fit into memory; None to decode it whenever it is needed.
        cache_gib: how much that folder may hold, in GiB.

    Attributes:
        records: tuple of `ImageRecord`; positions refer to it.
        image_size: (height, width).
        cached: whether all images are kept, in memory or on disk.

    Raises:
        FileNotFoundError: for a missing image, if `strict`.
        ValueError: for an unreadable image, if `strict`; if none of the images can be read.
        UserError: if `cache_dir` cannot be written to.
    """

    def __init__(self, records, image_size, strict=False, cache_bytes=4 << 30, cache_dir=None, cache_gib=64.0):
        self.records = tuple(records)
        self.image_size = tuple(image_size)
        self._strict = strict
        self._threads = concurrent.futures.ThreadPoolExecutor(_workers(self.records), "images")
        self._pixels = self._disk = None
        if len(self.records) * 3 * self.image_size[0] * self.image_size[1] <= cache_bytes:
            self._pixels, readable = self._read(self.records)
            self._pixels = self._pixels if readable.all() else self._pixels[readable]
            self._keep(readable)
        elif cache_dir:
            self._disk = PixelCache(cache_dir, self.image_size, [record.path for record in self.records], cache_gib)
            self._keep(self._fill_disk())
        self.cached = self._pixels is not None or all(self._on_disk(record) is not None for record in self.records)
        if self.cached:
            self._threads.shutdown()

    def __len__(self):
        return len(self.records)

    def take(self, positions):
        """uint8 (len(positions), height, width, 3)."""
        if self._pixels is not None:
            return self._pixels[positions]
        records = [self.records[position] for position in positions]
        kept = [self._on_disk(record) for record in records]
        if all(image is not None for image in kept):
            return np.stack(kept) if kept else np.empty((0, *self.image_size, 3), np.uint8)
        pixels, readable = self._read(records)
        _report(records, readable)
        return pixels

    def _on_disk(self, record):
        return None if self._disk is None else self._disk.get(record.path)

    def _keep(self, readable):
        """Leaves out the records that cannot be read."""
        _report(self.records, readable)
        if self.records and not readable.any():
            raise UserError(
                f"None of {len(readable)} images can be read, the first is {self.records[0].path}; check the data."
            )
        self.records = tuple(itertools.compress(self.records, readable))

    def _fill_disk(self):
        """Decodes what is not on disk yet, a pack in each thread at a time; which images can be read, bool."""
        readable = np.ones(len(self.records), bool)
        missing = [number for number, record in enumerate(self.records) if self._on_disk(record) is None]
        size = self._disk.images_per_pack
        packs = [missing[start : start + size] for start in range(0, len(missing), size)]

        def fill(pack):
            if self._disk.full:
                return
            pixels = np.empty((len(pack), *self.image_size, 3), np.uint8)
            readable[pack] = good = [
                self._decode(self.records[n], image) for n, image in zip(pack, pixels, strict=True)
            ]
            paths = [self.records[number].path for number in pack]
            stored = [row for row, path in enumerate(paths) if good[row] and self._disk.can_hold(path)]
            self._disk.add([paths[row] for row in stored], pixels if len(stored) == len(pack) else pixels[stored])

        collections.deque(self._threads.map(fill, packs), maxlen=0)
        return readable

    def _read(self, records):
        """uint8 pixels (len(records), height, width, 3) and which could be read, bool (len(records),)."""
        pixels = np.empty((len(records), *self.image_size, 3), np.uint8)
        readable = self._threads.map(self._decode, records, pixels)
        return pixels, np.fromiter(readable, bool, len(records))

    def _decode(self, record, pixels):
        """Fills `pixels`, with one grey if the image cannot be read; whether it could."""
        try:
            kept = self._on_disk(record)
            pixels[...] = load_image(record.path, self.image_size) if kept is None else kept
            return True
        except (OSError, ValueError):
            if self._strict:
                raise
            pixels[...] = MEAN_COLOUR
            return False


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
