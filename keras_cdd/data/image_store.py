"""The images of a list of records, decoded only once if they fit into memory or on disk (NumPy)."""

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

# Pixels per file above which decoding in threads is faster; below, two threads took twice as long as one.
LARGE_IMAGE = 100_000


class ImageStore:
    """Returns uint8 batches by position; large files are decoded in parallel threads.

    If all images fit into `cache_bytes`, they are decoded at the start and kept in memory; otherwise, if there is a
    `cache_dir`, they are kept on disk (`PixelCache`), also for later runs. In both cases, unreadable images are
    reported and left out of `records`, so that positions, records and images agree. Images that are not kept, because
    there is no folder or no space, are decoded for every batch; an unreadable one is reported then and is replaced by a
    uniform colour.

    Args:
        records: sequence of `ImageRecord`.
        image_size: (height, width) in pixels.
        strict: if True, an unreadable image is an error; by default it is reported.
        cache_bytes: largest size of the images in memory in bytes; 4 GiB by default.
        cache_dir: folder for images that do not fit into memory; None (the default) decodes them for every batch.
        cache_gib: largest size of that folder in GiB; 64.0 by default.

    Attributes:
        records: tuple of `ImageRecord`; positions refer to it.
        image_size: (height, width) in pixels.
        cached: whether all images are kept, in memory or on disk.

    Raises:
        MissingFileError: if an image is missing and `strict` is set.
        UserError: if an image is unreadable and `strict` is set, if none of the images can be read, or if `cache_dir`
            cannot be written to.
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
        """The images at the given positions, uint8 (len(positions), height, width, 3)."""
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
        """Removes the records that cannot be read."""
        _report(self.records, readable)
        if self.records and not readable.any():
            raise UserError(
                f"None of {len(readable)} images can be read, the first is {self.records[0].path}; check the data."
            )
        self.records = tuple(itertools.compress(self.records, readable))

    def _fill_disk(self):
        """Decodes the images that are not on disk yet, one pack at a time per thread.

        Returns bool (len(records),), which images can be read.
        """
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
        """`(pixels, readable)`: uint8 (n, height, width, 3), and which images could be read, bool (n,)."""
        pixels = np.empty((len(records), *self.image_size, 3), np.uint8)
        readable = self._threads.map(self._decode, records, pixels)
        return pixels, np.fromiter(readable, bool, len(records))

    def _decode(self, record, pixels):
        """Fills `pixels` with an image, or with MEAN_COLOUR if it cannot be read; returns whether it could be read."""
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
    """Number of decoding threads; one for small images, where waiting for the interpreter lock costs more."""
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
