"""The report of a run under way."""

import logging
import pathlib
import time


class LiveReport:
    """Draws `report.html` after epochs, but never spends more than a twentieth of the time on it.

    Short epochs are drawn together. Nothing that goes wrong here stops a run. As a context manager it draws what is
    new when the run ends, also where an error or Ctrl-C ends it.

    Args:
        workdir: folder of the run.
    """

    SHARE = 0.05

    def __init__(self, workdir):
        self.workdir = pathlib.Path(workdir)
        self.stale = False
        self.cost = 0.0
        self.drawn = -float("inf")

    def epoch_done(self):
        """Draws the page, unless it was drawn a moment ago."""
        self.stale = True
        if time.monotonic() - self.drawn >= self.cost / self.SHARE:
            self.draw()

    def draw(self):
        """Draws the page now; a failure is a warning."""
        started = time.monotonic()
        try:
            from keras_cdd.report.page import write_report

            started = time.monotonic()
            write_report(self.workdir)
        except Exception:
            logging.warning("The report of %s could not be drawn; the run goes on.", self.workdir, exc_info=True)
        self.stale = False
        self.drawn = time.monotonic()
        self.cost = self.drawn - started

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if self.stale:
            self.draw()
