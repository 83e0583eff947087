"""Progress of a long task: tqdm's bar if tqdm is installed, otherwise a line every few seconds."""

import importlib.util
import sys
import time

if importlib.util.find_spec("tqdm"):
    from tqdm import tqdm
else:
    tqdm = None

SECONDS_BETWEEN_LINES = 5


class Progress:
    """Shows progress on stderr; a context manager.

    Args:
        total: number of items.
        what: singular noun for an item, "image" by default.
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
        """Counts `count` more items as done."""
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
        elif self._done == self._total or time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            print(f"{self._done} of {self._total} {self._what}s", file=sys.stderr)

    def note(self, text):
        """Prints a line without breaking the bar."""
        if self._bar is not None:
            tqdm.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr)
