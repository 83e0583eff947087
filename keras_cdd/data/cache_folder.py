"""The folder that runs share: whole files, the least recently used of which make room for new ones (no Keras)."""

import contextlib
import errno
import os
import pathlib
import shutil
import time
import uuid

# Space that is left free on the disk.
RESERVE_BYTES = 1 << 30
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# A file that is still being written after a day is left over from a run that was killed.
ABANDONED_SECONDS = 24 * 3600
# What counts and may leave: decoded images, and what teachers say of views.
FILES = ("v*_*x*/*.pack", "teachers/*.npy")


class CacheFolder:
    """A folder for files that are never changed, so that processes need no locks.

    Args:
        path: the folder; `~` is the home folder.
        gib: largest size of all its files in GiB.

    Attributes:
        path: `pathlib.Path` of the folder.
    """

    def __init__(self, path, gib):
        self.path = pathlib.Path(path).expanduser()
        self._limit = int(gib * (1 << 30))

    def open(self, folder):
        """Makes a folder in it, tries to write there, and removes what killed runs left.

        Raises:
            OSError: if it cannot be made or written to.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with open(_part(folder), "xb") as probe:
            pass
        os.unlink(probe.name)
        for part in folder.glob("*.part"):
            with contextlib.suppress(OSError):
                if time.time() - part.stat().st_mtime > ABANDONED_SECONDS:
                    part.unlink()

    def write(self, path, chunks):
        """Writes a file under a name of its own, which becomes `path` when all is on disk.

        Raises:
            OSError: if that fails; nothing is left then.
        """
        part = _part(path.parent)
        try:
            with open(part, "xb") as file:
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise

    def make_room(self, size, reserved=0, used=()):
        """Removes files, the least recently used first, until `size` bytes more fit.

        Args:
            size: bytes.
            reserved: bytes that are about to be written elsewhere; 0 by default.
            used: files that stay; none by default.

        Returns:
            None, or in words why there is no room.
        """
        files = {path: status for name in FILES for path in self.path.glob(name) if (status := _status(path))}
        held = sum(status.st_size for status in files.values()) + reserved
        for path in sorted(files.keys() - set(used), key=lambda path: (files[path].st_mtime, path)):
            if held + size <= self._limit:
                break
            with contextlib.suppress(OSError):
                path.unlink()
                held -= files[path].st_size
        if held + size > self._limit:
            return f"{self.path} holds its {self._limit / (1 << 30):g} GiB (`cache_gib`)"
        if size > shutil.disk_usage(self.path).free - reserved - RESERVE_BYTES:
            return f"the disk of {self.path} is nearly full"
        return None


def _part(folder):
    return folder / f"{uuid.uuid4().hex}.part"


def _status(path):
    try:
        return path.stat()
    except OSError:
        return None
