"""What a run looks like: one page of curves, channels, rankings and activations."""

from keras_cdd.report.live_report import LiveReport

__all__ = ["LiveReport"]
