"""What was measured at several sizes, the line or power law through it, and what that says about other sizes."""

import time
import tracemalloc

import numpy as np

LINE, POWER = "line", "power law"
UNITS = {
    "s": (("us", 1e-6), ("ms", 1e-3), ("s", 1), ("h", 3600), ("days", 86_400)),
    "B": (("B", 1), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9), ("TB", 1e12)),
}


class Growth:
    """Figures that were measured at the same sizes.

    Args:
        sizes: list of at least two numbers.
        of: what they are numbers of, as "images".
        others: other sizes, for which the figures are wanted; None where one makes no sense.
    """

    def __init__(self, sizes, of, others):
        self._sizes, self._of, self._others = sizes, of, others

    def row(self, name, unit, values, form=LINE):
        """The row of the table for one figure.

        Args:
            name: what it is.
            unit: "s" or "B".
            values: one for each size.
            form: LINE or POWER.
        """
        function, text = FORMS[form](np.array(self._sizes, float), np.array(values, float), unit)
        measured = ", ".join(amount(value, unit) for value in values)
        others = ["" if size is None else amount(function(size), unit) for size in self._others]
        sizes = ", ".join(f"{size:,}" for size in self._sizes)
        return f"| {' | '.join([name, f'{sizes} {self._of}', measured, text, *others])} |"


def line(x, y, unit):
    """`(function, text)` of the line with the least relative errors, which does not begin below zero."""
    slope, start = np.polyfit(x, y, 1, w=1 / y)
    if start < 1e-6 * y.min():
        slope, start = np.mean(y / x), 0.0
    first = f"{amount(start, unit)} + " if start else ""
    return lambda n: start + slope * n, f"{first}{amount(slope, unit)} n"


def power_law(x, y, unit):
    """`(function, text)` of the power law with the least relative errors."""
    power, log = np.polyfit(np.log(x), np.log(y), 1)
    return lambda n: np.exp(log) * n**power, f"{amount(np.exp(log), unit)} n^{power:.2f}"


FORMS = {LINE: line, POWER: power_law}


def amount(value, unit):
    """Three digits and the unit that suits them."""
    steps = UNITS[unit]
    name, size = next((step for step in reversed(steps) if abs(value) >= step[1]), steps[0])
    number = value / size
    return f"{number:,.0f} {name}" if abs(number) >= 100 else f"{number:.3g} {name}"


def seconds(task, rounds):
    """The least processor seconds of all threads in a call, after one that fills caches and traces graphs."""
    task()
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        task()
        taken.append(time.process_time() - start)
    return max(min(taken), 1e-6)


def held(task):
    """The most bytes that Python and NumPy held at once during a call."""
    tracemalloc.start()
    try:
        task()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
