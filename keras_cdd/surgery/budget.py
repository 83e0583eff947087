"""Which channels stay so that the network meets a budget (NumPy)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from keras_cdd.errors import UserError

if TYPE_CHECKING:
    from keras_cdd.models import CostModel


def least_important_first(
    costs: "CostModel",
    importance: Mapping[str, np.ndarray],
    target: float,
    measure: str = "macs",
    round_to: int = 1,
) -> dict[str, np.ndarray]:
    """Removes channels by lowest importance per cost saved until the budget holds.

    One ranking over all layers; what a channel costs is taken at the widths of that moment. If the last removal left
    room, the most important removed channels that fit come back. A site whose channels cost nothing keeps them.
    Channels of importance 0 leave in any case.

    Args:
        costs: `CostModel`.
        importance: site -> (channels,) non-negative, larger matters more.
        target: fraction of the uncut network to keep, 0 < target <= 1.
        measure: "macs", "params" or "ms".
        round_to: widths become multiples of this (or stay whole).

    Returns:
        Site -> sorted positions that stay.

    Raises:
        ValueError: for a target outside (0, 1] or below what one channel a site costs.
    """
    if not 0 < target <= 1:
        raise ValueError(f"A budget is a fraction of the heavy student, above 0 and at most 1. Received: {target}")
    full, lowest = costs.total(measure, costs.full_widths), floor(costs, measure, round_to)
    if lowest > target:
        left, whole, aim = f"{lowest:.4f}", measure, f"{target}"
        if measure == "ms":
            left, whole, aim = f"{lowest * full:.4g}", f"{full:.4g} ms", f"{target * full:.4g}"
        raise UserError(
            f"The budget is out of reach: {lowest_words(round_to)} still costs {left} of the heavy student's {whole}. "
            f"Received: target_{measure}={aim}"
        )
    ranking = {site: np.argsort(importance[site], kind="stable") for site in costs.widths}
    widths = _widths_within(costs, importance, target * full, measure, round_to)
    return {site: np.sort(ranking[site][len(ranking[site]) - width :]) for site, width in widths.items()}


def floor(costs: "CostModel", measure: str, round_to: int = 1) -> float:
    """The fraction of the uncut network's cost that no budget can go below."""
    lowest = {site: min(round_to, width) for site, width in costs.widths.items()}
    return costs.total(measure, lowest) / costs.total(measure, costs.full_widths)


def share_of_ms(costs: "CostModel", target_ms: float) -> float:
    """A budget in milliseconds as a fraction of the uncut network's time.

    Raises:
        UserError: if the uncut network takes no longer than that.
    """
    full = costs.total("ms", costs.full_widths)
    if target_ms >= full:
        raise UserError(f"The heavy student takes {full:.4g} ms; nothing is to cut. Received: target_ms={target_ms:g}")
    return target_ms / full


def lowest_words(round_to: int) -> str:
    return "one channel a site" if round_to == 1 else f"{round_to} channels a site"


def _widths_within(
    costs: "CostModel", importance: Mapping[str, np.ndarray], budget: float, measure: str, round_to: int
) -> dict[str, int]:
    slopes = _Slopes(costs, measure)
    sums = _Sums([importance[site] for site in costs.widths])
    full = np.array(list(costs.widths.values()), int)
    lowest = np.minimum(round_to, full)
    # What is worth nothing leaves in any case.
    widths = np.maximum([int(np.sum(importance[site] > 0)) for site in costs.widths], lowest)
    excess = costs.total(measure, dict(zip(costs.widths, widths.tolist(), strict=True))) - budget
    while excess > 0:
        steps = np.where(widths % round_to, widths % round_to, round_to)
        saved = slopes.saved(widths, steps)
        possible = (widths - steps >= lowest) & (saved > 0)
        prices = np.full(len(widths), np.inf)
        np.divide(sums.between(full - widths, full - widths + steps), saved, out=prices, where=possible)
        if not possible.any():
            raise UserError(f"The budget is out of reach with widths of multiples of {round_to}.")
        site = int(np.argmin(prices))
        excess -= saved[site]
        widths[site] -= steps[site]
    _refill(widths, full, slopes, sums, round_to, -excess)
    return dict(zip(costs.widths, widths.tolist(), strict=True))


def _refill(widths: np.ndarray, full: np.ndarray, slopes: "_Slopes", sums: "_Sums", round_to: int, room: float) -> None:
    """Gives back, dearest first, what fits into the room that the last removal left."""
    while True:
        steps = np.minimum(round_to, full - widths)
        cost = slopes.saved(widths + steps, steps)
        gained = sums.between(full - widths - steps, full - widths)
        # What is worth nothing has left before.
        fits = (steps > 0) & (cost > 0) & (cost <= room) & (gained > 0)
        if not fits.any():
            return
        worth = np.full(len(widths), -np.inf)
        np.divide(gained, cost, out=worth, where=fits)
        # Of equals the one that costs more.
        site = int(np.lexsort((cost, worth))[-1])
        widths[site] += steps[site]
        room -= cost[site]


class _Sums:
    """Sums of the lowest importances of every site."""

    def __init__(self, importance: list[np.ndarray]) -> None:
        self._sums = [np.concatenate([[0], np.cumsum(np.sort(values))]) for values in importance]

    def between(self, fewer: np.ndarray, more: np.ndarray) -> np.ndarray:
        """What the channels from the `fewer`-th to the `more`-th lowest are worth together, a value a site."""
        pairs = zip(self._sums, fewer.tolist(), more.tolist(), strict=True)
        return np.array([sums[min(b, len(sums) - 1)] - sums[max(a, 0)] for sums, a, b in pairs])


class _Slopes:
    """What the channels of every site cost beside the others' widths; terms are rows, sites columns."""

    def __init__(self, costs: "CostModel", measure: str) -> None:
        terms = costs.terms(measure)
        columns = {site: column for column, site in enumerate(costs.widths)}
        self._factors = np.array([term.factor for term in terms], float)
        self._constants = np.array([(term.left.constant, term.right.constant) for term in terms], float).T
        self._sides = np.zeros((2, len(terms), len(columns)))
        for row, term in enumerate(terms):
            for side, width in enumerate((term.left, term.right)):
                for site, count in width.sites:
                    self._sides[side, row, columns[site]] += count
        # Where both sides of a term are of one site, two channels save less than twice what one does.
        self._squares = self._factors @ (self._sides[0] * self._sides[1])

    def saved(self, widths: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """What every site saves alone with so many channels fewer than `widths`."""
        left, right = self._constants + self._sides @ widths
        linear = (self._factors * right) @ self._sides[0] + (self._factors * left) @ self._sides[1]
        return steps * linear - steps**2 * self._squares
