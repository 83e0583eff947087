"""Ticks of logarithmic axes, few enough for their labels."""

import math

from matplotlib.ticker import MaxNLocator, NullFormatter

MOST = 7


def log_ticks(low, high):
    """Round values for the labels of a logarithmic axis: 1, 2, 5 of every decade, or 1 of some, or equal steps of less.

    Matplotlib labels 2, 3, 4, 6 of an axis of less than a decade, and these labels cover each other.

    Args:
        low, high: ends of the axis, positive.

    Returns:
        Rising list of 2 to 7 values within the ends.
    """
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    fine = [digit * 10.0**n for n in range(first - 1, last + 1) for digit in (1, 2, 5)]
    fine = [value for value in fine if low <= value <= high]
    if len(fine) > MOST:
        step = math.ceil((last - first + 1) / MOST)
        return [10.0**n for n in range(first, last + 1) if n % step == 0]
    if len(fine) >= 3:
        return fine
    equal = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high).tolist()
    return [value for value in equal if low <= value <= high]


def label_log_axis(axis):
    """Puts ticks and labels on a matplotlib axis (`axes.xaxis` or `axes.yaxis`) with a logarithmic scale and limits."""
    values = log_ticks(*axis.get_view_interval())
    axis.set_ticks(values, [_text(value) for value in values])
    axis.set_minor_formatter(NullFormatter())


def _text(value):
    """`0.02`, `500`, `2e-5`, `1e6`."""
    if 0.01 <= value < 9999:
        return f"{value:.4g}"
    digits, exponent = f"{value:.3e}".split("e")
    return f"{float(digits):g}e{int(exponent)}"
