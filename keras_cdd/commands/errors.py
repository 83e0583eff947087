"""How commands report errors: one line for a user's mistake, a traceback and how to report it for a bug."""

import contextlib
import errno
import os
import re
import signal
import sys
import threading
import traceback

from keras_cdd.errors import UserError

# Errors of the machine, not of the program: disk full, no permission, out of file handles or memory.
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
# From Ctrl-C to the next attempt: the page of a run is drawn in that time.
SECONDS_TO_STOP = 4
REPORT = "This is a bug in keras_cdd: please report it in the project's issue tracker, with all the output above."


@contextlib.contextmanager
def explained_errors(debug, hint=lambda: "", leave=sys.exit):
    """Prints the error of a failing command on stderr and exits.

    A `UserError`, or an error of the machine (`MACHINE`), prints one line and exits with status 1. Ctrl-C and
    SIGTERM print one line and exit with status 130 and 143. Any other exception is a bug: it prints the traceback and
    how to report it, and exits with status 1.

    Args:
        debug: if True, exceptions other than Ctrl-C are raised, with their traceback.
        hint: function that returns a sentence, which follows "stopped." after Ctrl-C and SIGTERM, and an error of the
            machine. Default: none.
        leave: function of the exit status, `end_at_once` for the commands of users. Default: raises SystemExit.
    """
    try:
        with _stopped_by_signals():
            yield
    except KeyboardInterrupt as stop:
        by_signal = stop.args and isinstance(stop.args[0], int)
        try:
            print(f"stopped. {_of(hint)}".rstrip(), file=sys.stderr)
        finally:
            leave(128 + (stop.args[0] if by_signal else signal.SIGINT))
    except Exception as error:
        if debug:
            raise
        try:
            _explain(error, hint)
        finally:
            leave(1)


def _explain(error, hint):
    if isinstance(error, UserError):
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    elif said := _of_the_machine(error):
        print(f"error: {'; '.join(filter(None, (said, _of(hint))))}", file=sys.stderr)
    else:
        traceback.print_exc()
        print(REPORT, file=sys.stderr)


def _of(hint):
    """The hint, which is no reason to say nothing of an error."""
    try:
        return hint()
    except Exception:
        return ""


def end_at_once(status):
    """Ends the process of a stopped or failed command without what Python does at its end.

    Threads of TensorFlow that call Python go on until the process ends: Python can neither stop them nor wait for them,
    and crashes, or waits for ever, if one calls it while it ends.
    """
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            # It may be closed, or whoever read it gone.
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    finally:
        os._exit(status)


@contextlib.contextmanager
def _stopped_by_signals():
    """Ctrl-C and SIGTERM raise KeyboardInterrupt with the signal's number; a process that ignores one still does.

    They raise it again until the block has ended: Python drops an exception in a callback, such as a finalizer. Any
    error after a signal counts as the stop, because a library may turn it into an error of its own.
    """
    usual = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    is_main = threading.current_thread() is threading.main_thread()
    caught = [number for number, handler in usual.items() if is_main and signal.getsignal(number) is handler]
    can_repeat = hasattr(signal, "setitimer") and is_main and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    asked = []

    def stop(number, frame):
        if number in caught:
            asked.append(number)
            if can_repeat:
                signal.setitimer(signal.ITIMER_REAL, SECONDS_TO_STOP)
        raise KeyboardInterrupt(asked[-1])

    def dropped(unraisable):
        if not (asked and isinstance(unraisable.exc_value, KeyboardInterrupt)):
            usual_hook(unraisable)
        elif can_repeat:
            signal.setitimer(signal.ITIMER_REAL, 0.05)

    usual_hook, sys.unraisablehook = sys.unraisablehook, dropped
    for number in caught:
        signal.signal(number, stop)
    if can_repeat:
        signal.signal(signal.SIGALRM, lambda *again: stop(asked[-1], None))
    try:
        yield
    except Exception as error:
        if asked:
            raise KeyboardInterrupt(asked[-1]) from error
        raise
    finally:
        sys.unraisablehook = usual_hook
        if can_repeat:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
        for number in caught:
            signal.signal(number, usual[number])


def _of_the_machine(error):
    """What an error of the machine says, or None if it is another error."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError):
        return text if error.errno in MACHINE else None
    # TensorFlow has its own classes for them; around the text it names the operation.
    if type(error).__module__.startswith("tensorflow.") and any(os.strerror(code) in text for code in MACHINE):
        return re.sub(r"\{\{.*?\}\} ?| ?\[Op:.*", "", text)
    return None
