"""Caches decoded images on disk, so that files are decoded and resized once instead of in every epoch (NumPy)."""

import contextlib
import errno
import hashlib
import logging
import os
import pathlib
import shutil
import threading
import time
import uuid

import numpy as np

from keras_cdd.data.image import file_identity
from keras_cdd.errors import UserError

# Must be increased whenever the same file gives other pixels.
VERSION = 1
KEY_BYTES = 32
# Size of a pack. A pack is written as a whole, so a killed run loses at most one per thread.
PACK_BYTES = 64 << 20
# Space that is left free on the disk.
RESERVE_BYTES = 1 << 30

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ABANDONED_SECONDS = 24 * 3600


class PixelCache:
    """uint8 images of one size in memory-mapped files, shared by all runs that use the folder.

    The key of an image is its `file_identity` (path, size and time of the last change of the file; for an archive entry
    also its name and checksum), so that a changed file is a new image. Images are stored in packs: pixels, then keys. A
    pack is written under a temporary name, flushed, renamed and never changed, so that processes need no locks. If
    space is needed, packs without images in `paths` are removed, the least recently used first.

    Args:
        folder: the folder, created if it is missing; `~` is the home folder.
        image_size: (height, width) in pixels.
        paths: the images that will be requested.
        gib: largest size of the folder in GiB, for all image sizes together.

    Attributes:
        full: whether no more images can be added.

    Raises:
        UserError: if the folder cannot be created or written to.
    """

    def __init__(self, folder, image_size, paths, gib):
        self.full = False
        self._root = pathlib.Path(folder).expanduser()
        self._shape = (*image_size, 3)
        self._folder = self._root / f"v{VERSION}_{image_size[0]}x{image_size[1]}"
        self._limit = int(gib * (1 << 30))
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
        try:
            pack = self._write(images, b"".join(self._keys[path] for path in paths))
        except FileNotFoundError:
            self._stop(f"somebody has removed files of {self._root}")
            return
        except OSError as error:
            if error.errno not in _NO_SPACE:
                raise
            self._stop(f"no space is left in {self._root}")
            return
        with self._lock:
            self._reserved -= size
            self._register(pack)

    @property
    def _row_bytes(self):
        return int(np.prod(self._shape))

    def _open(self):
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with open(self._part(), "xb") as probe:
                pass
            os.unlink(probe.name)
        except OSError as error:
            raise UserError(
                f"Folder {self._root} cannot hold decoded images ({error.strerror}); "
                "give another one as `cache_dir`, or none."
            ) from None
        for part in self._folder.glob("*.part"):
            with contextlib.suppress(OSError):
                if time.time() - part.stat().st_mtime > _ABANDONED_SECONDS:
                    part.unlink()
        for pack in sorted(self._folder.glob("*.pack")):
            self._register(pack)

    def _part(self):
        return self._folder / f"{uuid.uuid4().hex}.part"

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

    def _write(self, images, keys):
        part = self._part()
        try:
            with open(part, "xb") as file:
                file.write(np.ascontiguousarray(images).data)
                file.write(keys)
                file.flush()
                os.fsync(file.fileno())
            pack = part.with_suffix(".pack")
            os.replace(part, pack)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return pack

    def _reserve(self, size):
        """Reserves space for `size` bytes, removing unused packs if necessary; returns whether there is enough."""
        with self._lock:
            if self.full:
                return False
            packs = {pack: status for pack in self._root.glob("v*_*x*/*.pack") if (status := _status(pack))}
            held = sum(status.st_size for status in packs.values()) + self._reserved
            unused = sorted((status.st_mtime, pack) for pack, status in packs.items() if pack not in self._used)
            while held + size > self._limit and unused:
                _, pack = unused.pop(0)
                with contextlib.suppress(OSError):
                    pack.unlink()
                    held -= packs[pack].st_size
            free = shutil.disk_usage(self._folder).free - self._reserved - RESERVE_BYTES
            if held + size <= self._limit and size <= free:
                self._reserved += size
                return True
        if held + size > self._limit:
            self._stop(f"{self._root} holds its {self._limit / (1 << 30):g} GiB (`cache_gib`)")
        else:
            self._stop(f"the disk of {self._root} is nearly full")
        return False

    def _stop(self, why):
        with self._lock:
            if not self.full:
                logging.warning("Further images are decoded anew in every epoch: %s.", why)
            self.full = True


def _status(path):
    try:
        return path.stat()
    except OSError:
        return None


def _key(path):
    identity = file_identity(path)
    return None if identity is None else hashlib.sha256(repr(identity).encode()).digest()
