"""Charts of the channels: how many each site keeps after every surgery, and the importances at the last cut."""

import math
import os

import numpy as np
from matplotlib.colors import ListedColormap, to_rgba

from keras_cdd.report.block_name import block_name
from keras_cdd.report.figure import INK, RIGHT, SERIES, WIDTH, draw, text_width
from keras_cdd.report.log_ticks import label_log_axis
from keras_cdd.report.shortened import shortened

LABELS = 2.2  # The most inches for the names of the sites.
LINES = {
    "macs": "importance for a million MACs",
    "params": "importance for a thousand parameters",
    "norm": "norm of the indicator's kernel",
}


def channel_map(run):
    """Heat map of the channels kept at every site after every surgery: a `Chart`, or None before the first surgery.

    Of more surgeries than there is room for, the last and some before it are shown.

    Args:
        run: `RunFiles`.
    """
    if not run.surgeries:
        return None
    first = run.surgeries[0]["kept_filters_before"]
    widths = np.array([[s[site] for s in [first, *(s["kept_filters_after"] for s in run.surgeries)]] for site in first])
    names, left = _row_labels(first)
    heads = ["start", *(str(surgery["epoch"]) for surgery in run.surgeries)]
    shown = _columns_with_room([*heads, str(widths.max())], len(heads), WIDTH - left - RIGHT)
    numbers = widths[:, shown]
    rows, columns = (np.arange(count) for count in numbers.shape)
    some = f" ({len(shown) - 1} of {len(run.surgeries)})" if len(shown) < len(heads) else ""

    def paint(axes):
        # One colour with varying opacity is legible on white and on black.
        shades = ListedColormap([to_rgba(SERIES[0], alpha) for alpha in np.linspace(0.05, 0.65, 31)])
        axes.pcolormesh(columns, rows, numbers / widths[:, :1], cmap=shades, vmin=0, vmax=1, linewidth=0)
        for row, column in np.ndindex(numbers.shape):
            axes.text(column, row, str(numbers[row, column]), ha="center", va="center", fontsize=8, color=INK)
        axes.set_yticks(rows, names, fontsize=8)
        axes.set_xticks(columns, [heads[place] for place in shown])
        axes.set_xlabel(f"channels after the surgery that followed this epoch{some}", loc="right")
        axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)

    kept, full = widths[:, -1] / widths[:, 0], [block_name(site) for site in first]
    most, least = int(kept.argmax()), int(kept.argmin())
    words = (
        f"Channels of {len(names)} sites over {len(run.surgeries)} surgeries: {widths[:, 0].sum()} at the start, "
        f"{widths[:, -1].sum()} now. {full[most]} keeps most ({widths[most, 0]} to {widths[most, -1]}), "
        f"{full[least]} least ({widths[least, 0]} to {widths[least, -1]})."
    )
    return draw("Channels kept", words, paint, height=0.6 + 0.19 * len(rows), left=left, bottom=0.5)


def importance_chart(run):
    """Histogram of the importances at the last cut, with the cut line: a `Chart`, or None before the first cut.

    Args:
        run: `RunFiles`.
    """
    if not run.cuts:
        return None
    cut = run.cuts[-1]
    kept, removed = np.array(cut["kept"]), np.array(cut["removed"])
    edges = np.logspace(*cut["log10_range"], len(kept) + 1)
    wide, left = np.diff(edges), edges[:-1]

    def paint(axes):
        axes.bar(left, removed, wide, align="edge", color=SERIES[1], label="cut", linewidth=0)
        axes.bar(left, kept, wide, removed, align="edge", color=SERIES[0], label="kept", linewidth=0)
        axes.axvline(cut["line"], color=INK, linewidth=1, linestyle=(0, (3, 2)), label="cut line")
        axes.set_xscale("log")
        label_log_axis(axes.xaxis)
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.set(xlabel=LINES[cut["measure"]])
        axes.tick_params(axis="x", which="minor", length=0)
        axes.figure.legend(loc="lower center", ncols=3, handlelength=1.4)

    words = (
        f"Importances at the last cut, in epoch {cut['epoch']}: {removed.sum()} channels below or near the line at "
        f"{cut['line']:.2g} were cut, {kept.sum()} stayed."
    )
    return draw(f"Channels by importance at the last cut (epoch {cut['epoch']})", words, paint)


def _row_labels(sites):
    """Short names of the sites for the rows, and the width of their column in inches."""
    names = [block_name(site) for site in sites]
    if max(map(_label_width, names)) > LABELS:
        # What all names begin with tells none of them apart.
        shared = os.path.commonprefix(names).rpartition("/")[0]
        names = [name.removeprefix(f"{shared}/") for name in names]
    names = [shortened(name, lambda text: _label_width(text) <= LABELS) for name in names]
    return names, max(map(_label_width, names))


def _label_width(text):
    return 0.1 + text_width(text, 8)


def _columns_with_room(texts, count, width):
    """The columns that are shown: all if there is room for their texts, else the first, the last and some between.

    Args:
        texts: heads and the longest number in a cell.
        count: number of columns.
        width: of all columns, in inches.
    """
    room = int(width / (0.06 + max(map(text_width, texts))))
    every, last = math.ceil((count - 1) / (room - 1)), count - 1
    return [0, *(column for column in range(1, count) if (last - column) % every == 0)]
