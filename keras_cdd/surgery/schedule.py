"""The schedule of the cuts: when a run cuts, and how much it keeps at every cut (NumPy)."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class CutSchedule:
    """Many small cuts instead of one; each removes a smaller fraction of what is left above the floor than the last.

    Attributes:
        target: fraction of the heavy student's cost to keep at the end.
        floor: fraction of the cost that no cut can go below.
        first_step, last_step: optimizer steps between which the cuts are spaced evenly; the channels of the last cut
            are gone at `last_step`.
        cuts: number of cuts.
        fade: whether the channels of a cut fade out until the next cut; False (the default) removes them at once.

    Raises:
        ValueError: if `cuts` is below 1, or the steps are negative or out of order.
    """

    target: float
    floor: float
    first_step: int
    last_step: int
    cuts: int
    fade: bool = False

    def __post_init__(self) -> None:
        if self.cuts < 1 or not 0 <= self.first_step <= self.last_step:
            raise ValueError(
                "A schedule needs one cut at least and a start before its end. "
                f"Received: {self.cuts} cuts from step {self.first_step} to {self.last_step}"
            )

    def starts(self) -> list[int]:
        """List of the optimizer steps after which the channels of each cut are chosen, in order."""
        return self._steps()[: self.cuts]

    def ends(self) -> list[int]:
        """List of the optimizer steps after which the channels of each cut are gone, in order."""
        return self._steps()[-self.cuts :]

    def _steps(self) -> list[int]:
        steps = np.linspace(self.first_step, self.last_step, self.cuts + 1 + self.fade)[1:]
        return [int(step) for step in np.rint(steps)]

    def kept(self, cut: int) -> float:
        """Fraction of the cost to keep after cut number `cut` (counted from 1); `target` after the last cut."""
        if cut >= self.cuts:
            return self.target
        rest = max(self.target - self.floor, 1e-3 * (1 - self.floor)) / (1 - self.floor)
        return self.floor + (1 - self.floor) * rest ** (1 - (1 - cut / self.cuts) ** 2)
