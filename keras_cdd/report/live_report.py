"""The report of a run in progress."""

import logging
import pathlib
import time


class LiveReport:
    """Updates `report.html` after epochs, using at most a twentieth of the run's time.

    After short epochs the page is not redrawn every time. Errors are logged as warnings and never stop the run. As a
    context manager it draws the latest state when the run ends, also by an error or Ctrl-C.

    Args:
        workdir: folder of the run.

    Attributes:
        stale: whether the page lacks the latest state.
    """

    SHARE = 0.05

    def __init__(self, workdir):
        self.workdir = pathlib.Path(workdir)
        self.stale = False
        self.cost = 0.0
        self.drawn = -float("inf")

    def epoch_done(self):
        """Draws the page, unless too little time has passed since it was last drawn."""
        self.stale = True
        if time.monotonic() - self.drawn >= self.cost / self.SHARE:
            self.draw()

    def draw(self):
        """Draws the page now; logs a warning if that fails."""
        started = time.monotonic()
        try:
            from keras_cdd.report.page import write_report

            started = time.monotonic()
            write_report(self.workdir)
        except OSError as error:
            logging.warning("The report of %s could not be drawn (%s); the run goes on.", self.workdir, error)
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
