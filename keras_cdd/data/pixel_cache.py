"""Decoded images on disk, so that a file is decoded and resized once and not in every epoch (NumPy)."""

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

# Goes up whenever the same file is to give other pixels.
VERSION = 1
KEY_BYTES = 32
# A pack is written in one piece, so a run that is killed loses at most one for each thread.
PACK_BYTES = 64 << 20
# Left free on the disk for others.
RESERVE_BYTES = 1 << 30

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ABANDONED_SECONDS = 24 * 3600


class PixelCache:
    """uint8 images of one size in memory-mapped files, shared by all runs that name the folder.

    An image is found by what its file is (path, size, time of the last change; for an entry of an archive the
    archive's and the entry's checksum), so a changed file is a new image. Images lie in packs: pixels, then keys.
    A pack is written under another name, flushed and renamed, and never changed; processes need no locks. Packs that
    none of the images asked for lie in make room for new ones, those first that were not used for longest.

    Args:
        folder: made if it is missing; `~` is the home folder.
        image_size: (height, width).
        paths: the images that will be asked for.
        gib: how much the folder may hold, in GiB, all sizes together.

    Attributes:
        full: whether nothing can be added any more.

    Raises:
        UserError: if the folder cannot be made or written to.
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
        """False for images that are made anew each time, and for files that are not there."""
        return path in self._keys

    def get(self, path):
        """uint8 (height, width, 3), memory-mapped; None if the image is not here."""
        return self._images.get(self._keys.get(path))

    def add(self, paths, images):
        """Writes images that `can_hold` is true for, unless the cache is full, which is logged once.

        Args:
            paths: of n images.
            images: uint8 (n, height, width, 3).
        """
        size = len(paths) * (self._row_bytes + KEY_BYTES)
        if not paths or not self._reserve(size):
            return
        try:
            pack = self._write(images, b"".join(self._keys[path] for path in paths))
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
        """Takes up the images of a pack that are asked for."""
        try:
            count, rest = divmod(pack.stat().st_size, self._row_bytes + KEY_BYTES)
            if rest or not count:
                return
            content = np.asarray(np.memmap(pack, np.uint8, "r"))
        except OSError:
            # Another process made room.
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
        """Whether there is room for so many bytes, made if need be."""
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
