"""How every command fails: one clear line, exit status 1."""

import contextlib
import sys

USER_ERRORS = (ValueError, OSError, ImportError)


@contextlib.contextmanager
def one_line_errors(debug):
    """Turns a user's mistake into one line on stderr and exit status 1, Ctrl-C into a line and 130.

    Args:
        debug: let the mistake through, with its traceback.
    """
    try:
        yield
    except USER_ERRORS as error:
        if debug:
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped; the same command starts it again and continues what was saved.", file=sys.stderr)
        sys.exit(130)
