"""One process at a time writes to a folder or a file."""

import errno
import os
import pathlib
import typing

from keras_cdd.errors import MissingFileError, UserError

try:
    import fcntl
except ImportError:  # Windows has no such locks; there, folders are not locked.
    fcntl = None  # type: ignore[assignment]

# What `flock` says on file systems without locks, such as some network file systems.
WITHOUT_LOCKS = frozenset((errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS))


class Lock:
    """Holds a folder or a file until `release`, or until the process ends in whatever way; a context manager.

    Readers need no lock. The lock is a file `.lock` in the folder, or `.<name>.lock` beside the file, in which the
    process writes its number. Where the system or the file system has no locks, nothing is held; for the file system, a
    line says so.

    Args:
        path: an existing folder, or a file in one, which need not exist yet.
        what: how the message calls it, such as "--workdir runs/mine".

    Raises:
        UserError: if another process holds it; the message has its number.
        MissingFileError: if there is no folder for it.
    """

    def __init__(self, path: str | os.PathLike[str], what: str) -> None:
        path = pathlib.Path(path)
        self._path = path / ".lock" if path.is_dir() else path.with_name(f".{path.name}.lock")
        if not self._path.parent.is_dir():
            raise MissingFileError(f"There is no folder for {what}; make it first.")
        self._file = self._path.open("a+")
        if fcntl is None:
            return
        try:
            while not take(self._file, self._path):
                self._file.close()
                self._file = self._path.open("a+")
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
        try:
            self._file.truncate(0)
            self._file.write(str(os.getpid()))
            self._file.flush()
        except OSError:
            self._path.unlink(missing_ok=True)
            raise

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Lets others hold it; the lock's file leaves."""
        if not self._file.closed:
            if fcntl is not None:
                self._path.unlink(missing_ok=True)
            self._file.close()


def take(file: typing.IO[typing.Any], path: pathlib.Path, wait: bool = False) -> bool:
    """Locks an open file, or waits for that; returns whether it is still the one at `path`.

    Who held it before may have removed or renamed it.

    Raises:
        BlockingIOError: if another process has the lock and `wait` is False, the default.
        OSError: if the file system has no locks.
    """
    fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
