"""How every command fails: a user's mistake is one line, a fault of the program a traceback and how to report it."""

import contextlib
import errno
import sys
import traceback

from keras_cdd.errors import UserError

# What the machine refuses whatever the program does: disk full, no permission, out of file handles or memory.
MACHINE = frozenset(
    getattr(errno, name)
    for name in (
        "EACCES",
        "EDQUOT",
        "EFBIG",
        "EIO",
        "EMFILE",
        "ENAMETOOLONG",
        "ENFILE",
        "ENOMEM",
        "ENOSPC",
        "EPERM",
        "EPIPE",
        "EROFS",
    )
    if hasattr(errno, name)
)
REPORT = "This is a fault of keras_cdd: please report it in the project's issue tracker, with all that stands above."


@contextlib.contextmanager
def explained_errors(debug):
    """Ends a command that fails with what its user needs to know, on stderr.

    A `UserError`, and what the operating system refuses (`MACHINE`), is one line and exit status 1; Ctrl-C a line and
    130. Every other exception is a fault of the program: its traceback, a line that says how to report it, and 1.

    Args:
        debug: let every exception through, with its traceback.
    """
    try:
        yield
    except KeyboardInterrupt:
        print("stopped; the same command starts it again and continues what was saved.", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if debug:
            raise
        if isinstance(error, UserError) or _of_the_machine(error):
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        else:
            traceback.print_exc()
            print(REPORT, file=sys.stderr)
        sys.exit(1)


def _of_the_machine(error):
    return isinstance(error, OSError) and error.errno in MACHINE
