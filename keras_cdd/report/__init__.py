"""The report of a run: one page with curves, channels, rankings and activation maps."""

from keras_cdd.report.live_report import LiveReport

__all__ = ["LiveReport"]
