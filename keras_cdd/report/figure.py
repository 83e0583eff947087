"""The style of the charts: drawn by matplotlib, coloured by the page."""

import dataclasses
import io
import re

import matplotlib
import matplotlib.figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

# Placeholders that are replaced by the page's CSS variables, so that charts follow light mode, dark mode and print.
INK, FAINT, LINE = "#010203", "#020304", "#030405"
SERIES = ("#040501", "#040502", "#040503", "#040504", "#040505", "#040506", "#040507", "#040508")
WIDTH, RIGHT, TOP = 4.4, 0.1, 0.08
_VARIABLES = {INK: "ink", FAINT: "faint", LINE: "line"} | {c: f"series{n}" for n, c in enumerate(SERIES, start=1)}

_STYLE = {
    "svg.fonttype": "none",  # Keep text as text: small files, searchable, the page's font.
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": FAINT,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 8,
}


@dataclasses.dataclass(frozen=True)
class Chart:
    """A drawn chart.

    Attributes:
        title: heading.
        svg: `<svg>` element to be inserted into a page.
        words: alternative text for people who cannot see the chart.
    """

    title: str
    svg: str
    words: str


def draw(title, words, paint, height=2.7, width=WIDTH, left=0.5, bottom=0.85):
    """Draws a chart.

    Args:
        title, words: see `Chart`.
        paint: function that draws on the matplotlib axes it is given.
        height, width: size in inches, 2.7 x 4.4 by default; the page scales the chart to its column, on a phone to
            about this size.
        left, bottom: margins for the labels in inches. Default: 0.5 and 0.85.

    Returns:
        `Chart`.
    """
    with matplotlib.rc_context(_STYLE | {"svg.hashsalt": title}):
        figure = matplotlib.figure.Figure(figsize=(width, height))
        # Fixed margins, so that neighbouring charts line up; a layout engine would draw everything twice.
        box = (left / width, bottom / height, 1 - (left + RIGHT) / width, 1 - (bottom + TOP) / height)
        paint(figure.add_axes(box))
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return Chart(title, _for_page(file.getvalue()), words)


def text_width(text, size=_STYLE["font.size"]):
    """Width of a text in inches, in matplotlib's font; those of most pages are narrower.

    Args:
        text: one line.
        size: font size in points, that of the charts by default.
    """
    font = FontProperties(family="DejaVu Sans", size=size)
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] / 72


def _for_page(svg):
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # These ids would be repeated in every chart, and nothing refers to them.
    svg = re.sub(r' id="[\w.]+_\d+"', "", svg)
    # The page sets the width; the viewBox keeps the aspect ratio.
    svg = re.sub(r'(<svg [^>]*?)height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg [^>]*?)width="[^"]*"', r'\1aria-hidden="true" focusable="false"', svg, count=1)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    for colour, name in _VARIABLES.items():
        svg = svg.replace(colour, f"var(--{name})")
    return svg
