"""One process at a time writes to a folder."""

import errno
import os
import pathlib

from keras_cdd.errors import UserError

try:
    import fcntl
except ImportError:  # Windows has no such locks; there, folders are not locked.
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"
# What `flock` says on file systems without locks, such as some network file systems.
WITHOUT_LOCKS = frozenset((errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS))


class Lock:
    """Holds a folder until `release`, or until the process ends in whatever way.

    Readers need no lock. The lock is a file of the folder, in which the process writes its number. Where the system or
    the file system has no locks, the folder is not held; for the file system, a line says so.

    Args:
        folder: an existing folder.
        what: how the message calls it, such as "--workdir runs/mine".

    Raises:
        UserError: if another process holds the folder; the message has its number.
    """

    def __init__(self, folder: str | os.PathLike[str], what: str) -> None:
        self._file = (pathlib.Path(folder) / NAME).open("a+")
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            raise UserError(f"{what} is in use by process {holder}; wait until it ends, or choose another.") from None
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                self._file.close()
                raise
            print(f"{what} is not locked ({error.strerror}): do not start another process in it.", flush=True)
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Lets others hold the folder. The file stays: who waits for it may have opened it already."""
        self._file.close()
