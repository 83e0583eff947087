"""When a run cuts, and how much stays at every cut (NumPy)."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class CutSchedule:
    """Many small cuts instead of one, each taking a smaller part of what is left above the floor than the one before.

    Attributes:
        target: fraction of the heavy student to keep at the end.
        floor: fraction that no cut can go below.
        first_step, last_step: optimizer steps of the first and the last cut.
        cuts: how many.
        fade: whether the channels of a cut fade out until the next one is due, and are gone by then.
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
        """The optimizer steps after which channels are chosen, in order."""
        return self._steps()[: self.cuts]

    def ends(self) -> list[int]:
        """The optimizer steps after which the channels of each cut are gone, in order."""
        return self._steps()[-self.cuts :]

    def _steps(self) -> list[int]:
        steps = np.linspace(self.first_step, self.last_step, self.cuts + 1 + self.fade)[1:]
        return [int(step) for step in np.rint(steps)]

    def kept(self, cut: int) -> float:
        """Fraction to keep after cut number `cut`, from 1; the last one is the target."""
        if cut >= self.cuts:
            return self.target
        rest = max(self.target - self.floor, 1e-3 * (1 - self.floor)) / (1 - self.floor)
        return self.floor + (1 - self.floor) * rest ** (1 - (1 - cut / self.cuts) ** 2)
