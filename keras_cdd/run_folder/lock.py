"""One process at a time writes to a folder."""

import os
import pathlib

from keras_cdd.errors import UserError

try:
    import fcntl
except ImportError:  # Windows has no such locks; there, folders are not locked.
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"


class Lock:
    """Holds a folder until `release`, or until the process ends in whatever way.

    Readers need no lock. The lock is a file of the folder, in which the process writes its number.

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
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Lets others hold the folder. The file stays: who waits for it may have opened it already."""
        self._file.close()
