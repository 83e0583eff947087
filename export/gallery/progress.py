"""How far a long work is: tqdm's bar where tqdm is installed, otherwise a line now and then."""

import importlib.util
import sys
import time

if importlib.util.find_spec("tqdm"):
    from tqdm import tqdm
else:
    tqdm = None

SECONDS_BETWEEN_LINES = 5


class Progress:
    """Counts on stderr, as a context manager.

    Args:
        total: how many there are.
        what: the word for one of them.
    """

    def __init__(self, total, what="image"):
        self._total, self._what = total, what
        self._done, self._said = 0, time.monotonic()
        self._bar = tqdm(total=total, unit=what, unit_scale=False) if tqdm else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._bar is not None:
            self._bar.close()

    def advance(self, count):
        """Some more are done."""
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
        elif self._done == self._total or time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            print(f"{self._done} of {self._total} {self._what}s", file=sys.stderr)

    def note(self, text):
        """A line that leaves the bar whole."""
        if self._bar is not None:
            tqdm.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr)
