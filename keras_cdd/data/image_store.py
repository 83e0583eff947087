"""The images of a list of records, decoded once where they fit into memory."""

import concurrent.futures
import itertools
import logging

import numpy as np

from keras_cdd.data.image import load_image


class ImageStore:
    """Gives uint8 batches by position; unreadable images are reported, counted and left out.

    Args:
        records: sequence of `ImageRecord`.
        image_size: (height, width).
        strict: an unreadable image is an error.
        cache_bytes: everything stays in memory if it fits into this much.
        reader: function of (path, size) that gives the pixels.

    Attributes:
        pixels: uint8 (images, height, width, 3) if all fit into memory, else None.
        records: the readable ones; positions refer to them. Without a cache, images are tried when they are needed.

    Raises:
        FileNotFoundError, ValueError: for an unreadable image if `strict`, or if none can be read.
    """

    def __init__(self, records, image_size, strict=False, cache_bytes=4 << 30, reader=load_image):
        self.records = tuple(records)
        self.image_size = tuple(image_size)
        self.strict = strict
        self._reader = reader
        self._pool = concurrent.futures.ThreadPoolExecutor(4)
        self.pixels = None
        if len(self.records) * 3 * image_size[0] * image_size[1] <= cache_bytes:
            images = self._read(self.records)
            self.records = tuple(itertools.compress(self.records, (image is not None for image in images)))
            readable = [image for image in images if image is not None]
            if self.records:
                self.pixels = np.stack(readable)
            elif images:
                raise ValueError(f"None of {len(images)} images can be read, the first is {records[0].path}.")

    def __len__(self):
        return len(self.records)

    def take(self, positions):
        """uint8 (len(positions), height, width, 3)."""
        if self.pixels is not None:
            return self.pixels[positions]
        images = self._read([self.records[position] for position in positions])
        blank = np.zeros((*self.image_size, 3), np.uint8)
        return np.stack([blank if image is None else image for image in images])

    def _read(self, records):
        images = list(self._pool.map(self._try, records))
        unreadable = [record.path for record, image in zip(records, images, strict=True) if image is None]
        if unreadable:
            logging.warning("%d unreadable images are left out, the first is %s", len(unreadable), unreadable[0])
        return images

    def _try(self, record):
        try:
            return self._reader(record.path, self.image_size)
        except (OSError, ValueError):
            if self.strict:
                raise
            return None
