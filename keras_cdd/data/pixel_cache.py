"""Caches decoded images on disk, so that files are decoded and resized once instead of in every epoch (NumPy)."""

import contextlib
import hashlib
import logging
import os
import threading
import uuid

import numpy as np

from keras_cdd.data.cache_folder import NO_SPACE, CacheFolder
from keras_cdd.data.image import file_identity
from keras_cdd.errors import UserError

# Must be increased whenever the same file gives other pixels.
VERSION = 1
KEY_BYTES = 32
# Size of a pack. A pack is written as a whole, so a killed run loses at most one per thread.
PACK_BYTES = 64 << 20


class PixelCache:
    """uint8 images of one size in memory-mapped files, shared by all runs that use the folder.

    The key of an image is its `file_identity` (path, size and time of the last change of the file; for an archive entry
    also its name and checksum), so that a changed file is a new image. Images are stored in packs: pixels, then keys.
    If space is needed, files of the folder without images in `paths` are removed, see `CacheFolder`.

    Args:
        folder: the folder, created if it is missing; `~` is the home folder.
        image_size: (height, width) in pixels.
        paths: the images that will be requested.
        gib: largest size of the folder in GiB.

    Attributes:
        full: whether no more images can be added.

    Raises:
        UserError: if the folder cannot be created or written to.
    """

    def __init__(self, folder, image_size, paths, gib):
        self.full = False
        self._cache = CacheFolder(folder, gib)
        self._shape = (*image_size, 3)
        self._folder = self._cache.path / f"v{VERSION}_{image_size[0]}x{image_size[1]}"
        self._lock = threading.Lock()
        self._used, self._reserved = set(), 0
        self._keys = {path: key for path in paths if (key := _key(path)) is not None}
        self._wanted = set(self._keys.values())
        self._images = {}
        self._open()

    @property
    def images_per_pack(self):
        return max(1, PACK_BYTES // self._row_bytes)

    def can_hold(self, path):
        """Whether an image can be cached; False for images of a registered source and for missing files."""
        return path in self._keys

    def get(self, path):
        """The image as memory-mapped uint8 (height, width, 3), or None if it is not in the cache."""
        return self._images.get(self._keys.get(path))

    def add(self, paths, images):
        """Adds images as a pack; if the cache is full or was removed, it logs this once and adds nothing.

        Args:
            paths: paths of n images for which `can_hold` is True.
            images: uint8 (n, height, width, 3).
        """
        size = len(paths) * (self._row_bytes + KEY_BYTES)
        if not paths or not self._reserve(size):
            return
        pack = self._folder / f"{uuid.uuid4().hex}.pack"
        keys = b"".join(self._keys[path] for path in paths)
        try:
            self._cache.write(pack, (np.ascontiguousarray(images).data, keys))
        except FileNotFoundError:
            self._stop(f"somebody has removed files of {self._cache.path}")
            return
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            self._stop(f"no space is left in {self._cache.path}")
            return
        with self._lock:
            self._reserved -= size
            self._register(pack)

    @property
    def _row_bytes(self):
        return int(np.prod(self._shape))

    def _open(self):
        try:
            self._cache.open(self._folder)
        except OSError as error:
            raise UserError(
                f"Folder {self._cache.path} cannot hold decoded images ({error.strerror}); "
                "give another one as `cache_dir`, or none."
            ) from None
        for pack in sorted(self._folder.glob("*.pack")):
            self._register(pack)

    def _register(self, pack):
        """Adds the images of a pack that are in `paths`."""
        try:
            count, rest = divmod(pack.stat().st_size, self._row_bytes + KEY_BYTES)
            if rest or not count:
                return
            content = np.asarray(np.memmap(pack, np.uint8, "r"))
        except OSError:
            # Another process has removed the pack.
            return
        pixels = content[: count * self._row_bytes].reshape(count, *self._shape)
        keys = content[count * self._row_bytes :].reshape(count, KEY_BYTES)
        found = {key: pixels[row] for row, key in enumerate(map(bytes, keys)) if key in self._wanted}
        if found:
            self._images |= found
            self._used.add(pack)
            with contextlib.suppress(OSError):
                os.utime(pack)

    def _reserve(self, size):
        """Reserves space for `size` bytes; returns whether there is enough."""
        with self._lock:
            if self.full:
                return False
            why_not = self._cache.make_room(size, self._reserved, self._used)
            if why_not is None:
                self._reserved += size
                return True
        self._stop(why_not)
        return False

    def _stop(self, why):
        with self._lock:
            if not self.full:
                logging.warning("Further images are decoded anew in every epoch: %s.", why)
            self.full = True


def _key(path):
    identity = file_identity(path)
    return None if identity is None else hashlib.sha256(repr(identity).encode()).digest()
