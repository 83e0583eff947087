"""Records a cut: histograms of the importances of kept and removed channels, and a dividing line (NumPy)."""

import numpy as np

BINS = 40
UNITS = {"macs": 1e6, "params": 1e3, "ms": 1.0, "norm": 1.0}


def cut_record(plan, importance, costs, measure):
    """Makes a record for `cuts.jsonl`.

    Args:
        plan: `SurgeryPlan` of the cut.
        importance: site -> (channels,), zero for channels that were removed before.
        costs: `CostModel` of the model before the cut.
        measure: "macs", "params" or "ms": the values are importance per cost, which is what a budget ranks by; "norm":
            the values are the importances.

    Returns:
        Dict of `measure`; `log10_range`, the ends of 40 equal bins of the decimal logarithm of the values (importance
        per million MACs, thousand parameters or millisecond); `kept` and `removed`, channels per bin; and `line`, the
        value that separates kept from removed channels. None if all channels were removed before or cost nothing.
    """
    values, kept = [], []
    for site, worth in importance.items():
        alive = worth > 0
        stays = np.isin(np.arange(len(worth)), plan.cuts[site].outputs)
        cost = _cost_of_one(costs, site, plan.kept_filters, measure)
        if cost <= 0:
            continue  # No budget ranks what costs nothing.
        values.append(worth[alive] / cost * UNITS[measure])
        kept.append(stays[alive])
    if not sum(map(len, values)):
        return None
    values, kept = np.concatenate(values), np.concatenate(kept)
    logarithms = np.log10(values)
    lowest, highest = np.floor(10 * logarithms.min()) / 10, np.ceil(10 * logarithms.max()) / 10
    ends = (lowest, max(highest, lowest + 0.1))
    counts = [np.histogram(logarithms[chosen], BINS, ends)[0].tolist() for chosen in (kept, ~kept)]
    return {
        "measure": measure,
        "log10_range": [round(float(end), 1) for end in ends],
        "kept": counts[0],
        "removed": counts[1],
        "line": float(10 ** _between(logarithms[kept], logarithms[~kept])),
    }


def _cost_of_one(costs, site, widths, measure):
    """Cost of one more channel at a site, given the widths after the cut."""
    if measure == "norm":
        return 1.0
    return costs.total(measure, {**widths, site: widths[site] + 1}) - costs.total(measure, widths)


def _between(kept, removed):
    """The value with the fewest channels on the wrong side; there may be some, because a cut changes the costs."""
    if not len(removed) or not len(kept):
        return min(kept, default=0.0) if len(kept) else removed.max()
    order = np.sort(np.concatenate([kept, removed]))
    places = (order[1:] + order[:-1]) / 2
    wrong = np.searchsorted(np.sort(kept), places) + len(removed) - np.searchsorted(np.sort(removed), places)
    return places[np.argmin(wrong)]
