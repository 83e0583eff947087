"""What a cut looked like: the importances of all channels, as two histograms and a line (NumPy)."""

import numpy as np

BINS = 40
UNITS = {"macs": 1e6, "params": 1e3, "norm": 1.0}


def cut_record(plan, importance, costs, measure):
    """A record for `cuts.jsonl`.

    Args:
        plan: `SurgeryPlan`.
        importance: site -> (channels,), zero for channels that were gone before.
        costs: the model's `CostModel` before the cut.
        measure: "macs" or "params": a budget ranks importance per cost, so that is what is counted; "norm" takes
            the importances as they are.

    Returns:
        `measure`; `log10_range`, the ends of the equal bins of the values' decimal logarithm (per million MACs or
        thousand parameters); `kept` and `removed`, channels a bin; `line`, between what stayed and what went. None
        if no channel lives.
    """
    values, kept = [], []
    for site, worth in importance.items():
        alive = worth > 0
        stays = np.isin(np.arange(len(worth)), plan.cuts[site].outputs)
        values.append(worth[alive] / _cost_of_one(costs, site, plan.kept_filters, measure) * UNITS[measure])
        kept.append(stays[alive])
    values, kept = np.concatenate(values), np.concatenate(kept)
    if not len(values):
        return None
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
    """What one more channel of a site costs beside the widths after the cut."""
    if measure == "norm":
        return 1.0
    total = costs.macs if measure == "macs" else costs.params
    return total({**widths, site: widths[site] + 1}) - total(widths)


def _between(kept, removed):
    """The line that puts fewest channels on the wrong side: costs change while channels go, so there may be some."""
    if not len(removed) or not len(kept):
        return min(kept, default=0.0) if len(kept) else removed.max()
    order = np.sort(np.concatenate([kept, removed]))
    places = (order[1:] + order[:-1]) / 2
    wrong = np.searchsorted(np.sort(kept), places) + len(removed) - np.searchsorted(np.sort(removed), places)
    return places[np.argmin(wrong)]
