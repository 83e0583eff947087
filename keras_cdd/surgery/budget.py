"""Which channels stay so that the network meets a budget (NumPy)."""

import numpy as np

from keras_cdd.errors import UserError


def least_important_first(costs, importance, target, measure="macs", round_to=1):
    """Removes channels by lowest importance per cost saved until the budget holds.

    One ranking over all layers; what a channel costs is taken at the widths of that moment. If the last removal left
    room, the most important removed channels that fit come back.

    Args:
        costs: `CostModel`.
        importance: site -> (channels,) non-negative, larger matters more.
        target: fraction of the uncut network to keep, 0 < target <= 1.
        measure: "macs" or "params".
        round_to: widths become multiples of this (or stay whole).

    Returns:
        Site -> sorted positions that stay.

    Raises:
        ValueError: for a target outside (0, 1] or below what one channel a site costs.
    """
    if not 0 < target <= 1:
        raise ValueError(f"A budget is a fraction of the heavy student, above 0 and at most 1. Received: {target}")
    total = costs.macs if measure == "macs" else costs.params
    full = total(costs.full_widths)
    lowest = {site: min(round_to, width) for site, width in costs.widths.items()}
    if total(lowest) > target * full:
        raise UserError(
            f"The budget is out of reach: {lowest_words(round_to)} still costs {total(lowest) / full:.4f} of the "
            f"heavy student's {measure}. Received: target_{measure}={target}"
        )
    ranking = {site: np.argsort(values, kind="stable") for site, values in importance.items()}
    sums = {site: np.concatenate([[0], np.cumsum(np.sort(values))]) for site, values in importance.items()}
    widths = dict(costs.widths)
    slopes = {site: _slopes(costs, site, measure) for site in widths}
    excess = total(widths) - target * full
    prices = {site: _price(site, widths, slopes, sums, lowest, round_to) for site in widths}
    while excess > 0:
        site = min(prices, key=prices.get)
        step = _step(widths[site], round_to)
        excess -= step * slopes[site](widths)
        widths[site] -= step
        for other in _neighbours(site, widths):
            prices[other] = _price(other, widths, slopes, sums, lowest, round_to)
    _refill(widths, costs.widths, slopes, sums, round_to, -excess)
    return {site: np.sort(ranking[site][len(ranking[site]) - width :]) for site, width in widths.items()}


def lowest_words(round_to):
    return "one channel a site" if round_to == 1 else f"{round_to} channels a site"


def _slopes(costs, site, measure):
    """A function of the widths: what one channel of this site costs."""
    shapes = [shape for shape in costs.shapes if site in (shape.inputs, shape.outputs)]

    def slope(widths):
        fewer = {**widths, site: widths[site] - 1}
        return sum(getattr(s, measure)(widths) - getattr(s, measure)(fewer) for s in shapes)

    return slope


def _step(width, round_to):
    return width % round_to or round_to


def _price(site, widths, slopes, sums, lowest, round_to):
    """Importance lost per cost saved by the next removal; infinite when the site is at its least."""
    width = widths[site]
    step = _step(width, round_to)
    if width - step < lowest[site]:
        return np.inf
    gone = len(sums[site]) - 1 - width
    return (sums[site][gone + step] - sums[site][gone]) / (step * slopes[site](widths))


def _neighbours(site, widths):
    block = site.rsplit("/", 1)[0] + "/"
    return [other for other in widths if other.startswith(block)]


def _refill(widths, full, slopes, sums, round_to, room):
    """Gives back, dearest first, what fits into the room that the last removal left."""
    while True:
        candidates = []
        for site, width in widths.items():
            step = min(round_to, full[site] - width)
            cost = step * slopes[site](widths) if step else np.inf
            if cost <= room:
                gone = len(sums[site]) - 1 - width
                candidates.append(((sums[site][gone] - sums[site][gone - step]) / cost, cost, step, site))
        if not candidates:
            return
        _, cost, step, site = max(candidates)
        widths[site] += step
        room -= cost
