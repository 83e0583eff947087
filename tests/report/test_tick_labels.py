"""Charts of long runs, large networks and unusual values: no label covers another or leaves the drawing."""

import types

import matplotlib.figure
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from keras_cdd.report.block_name import block_name
from keras_cdd.report.channels import channel_map, importance_chart
from keras_cdd.report.curves import curves
from keras_cdd.report.log_ticks import log_ticks


@pytest.fixture
def drawn(monkeypatch):
    """The labels of the charts that are drawn; for each "x", "y", "cells" and "names" -> [(text, box in pixels)]."""
    charts = []

    def measure(figure, file, **options):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
        (axes,) = figure.axes
        texts = {"cells": axes.texts, "names": [axes.xaxis.label]}
        charts.append({name: [(t.get_text(), t.get_window_extent()) for t in of] for name, of in texts.items()})
        charts[-1] |= {"figure": figure.bbox, "axes": axes.bbox}
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            places = [*axis.get_majorticklocs(), *axis.get_minorticklocs()]
            labels = zip(places, axis.get_ticklabels(which="both"), strict=True)
            seen = [label for place, label in labels if label.get_text() and low <= place <= high]
            charts[-1][axis.axis_name] = [(label.get_text(), label.get_window_extent(renderer)) for label in seen]
        file.write("<svg/>")

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", measure)
    return charts


def assert_readable(chart):
    """Labels lie inside of the figure, with a gap between any two of an axis."""
    for axis, ends in (("x", ("x0", "x1")), ("y", ("y0", "y1"))):
        labels = sorted((getattr(box, ends[0]), getattr(box, ends[1]), text) for text, box in chart[axis])
        for (_, end, text), (start, _, following) in zip(labels, labels[1:], strict=False):
            assert end < start, f"{axis}: {text} touches {following}"
    for text, box in (*chart["x"], *chart["y"], *chart["names"]):
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= chart["figure"].x1 and box.y1 <= chart["figure"].y1
        assert inside, f"{text} sticks out"


def run(epochs=(), surgeries=(), cuts=(), summary=None, settings=None):
    return types.SimpleNamespace(
        epochs=list(epochs), surgeries=list(surgeries), cuts=list(cuts), summary=summary or {}, settings=settings or {}
    )


RANGES = [(-2.0, 2.0), (0.2, 2.4), (0.4, 1.1), (0.1, 0.9), (0.5, 0.6), (-0.1, 0.0), (-3.6, -2.9), (-14.2, 3.7)]
RANGES += [(2.9, 6.0), (-0.5, 0.4), (-5.3, -4.9), (4.6, 4.7)]


@pytest.mark.parametrize("limits", RANGES)
def test_importances_of_any_range_have_labels_apart(drawn, limits):
    cut = {"epoch": 3, "measure": "norm", "log10_range": limits, "line": 10 ** np.mean(limits)}
    importance_chart(run(cuts=[cut | {"kept": [0, 120, 3], "removed": [20, 1, 0]}]))
    assert_readable(drawn[0])
    assert 2 <= len(drawn[0]["x"]) <= 10


NAMES = {
    "resnet": [f"stage{stage}_block{block}/conv2" for stage in (1, 2, 3, 4) for block in range(1, 13)],
    "phone": [f"block{n}{letter}_expand_conv" for n in range(1, 8) for letter in "abcdefgh"],
    "nested": [f"feature_extractor/efficientnet_lite4/block{n}/depthwise_expand_conv" for n in range(33)],
    "WIDE": [f"MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM{n}" for n in range(9)],
}


@pytest.mark.parametrize("surgeries", [7, 40])
@pytest.mark.parametrize("names", NAMES)
def test_channels_of_many_sites_and_surgeries_can_be_read(drawn, names, surgeries):
    kept = [{name: 1280 - 30 * n for name in NAMES[names]} for n in range(surgeries + 1)]
    steps = zip(kept, kept[1:], strict=False)
    records = [
        {"epoch": 100 + n, "kept_filters_before": before, "kept_filters_after": after}
        for n, (before, after) in enumerate(steps)
    ]
    assert f"{block_name(NAMES[names][0])} keeps most" in channel_map(run(surgeries=records)).words
    (chart,) = drawn
    assert_readable(chart)
    assert len(chart["y"]) == len({text for text, _ in chart["y"]}) == len(NAMES[names])
    columns = [text for text, _ in chart["x"]]
    assert columns[0] == "start" and columns[-1] == str(99 + surgeries)
    assert len(columns) == surgeries + 1 or f"({len(columns) - 1} of {surgeries})" in chart["names"][0][0]
    assert len(chart["cells"]) == len(columns) * len(NAMES[names])
    row = sorted((box.x0, box.x1) for _, box in chart["cells"][: len(columns)])
    assert chart["axes"].x0 < row[0][0] and row[-1][1] < chart["axes"].x1
    assert all(end < start for (_, end), (start, _) in zip(row, row[1:], strict=False))


@pytest.mark.parametrize("losses", [[3.0, 0.0, 0.0], [2.0, 2.0]])
def test_losses_that_reach_zero_or_stand_still_have_labels(drawn, losses):
    epochs = [{"stage": "student", "epoch": n, "loss": loss} for n, loss in enumerate(losses, start=1)]
    curves(run([epoch | {"macs": 5, "training_macs": 5, "seconds": 1} for epoch in epochs]))
    for chart in drawn:
        assert_readable(chart)
        assert len(chart["y"]) >= 2


def test_log_ticks_are_few_apart_and_within_the_ends():
    """For ends of any place and distance, a tenth of the axis lies between two ticks."""
    random = np.random.default_rng(0)
    for low, length in zip(random.uniform(-12, 8, 2000), 10 ** random.uniform(-1.3, 1.3, 2000), strict=True):
        values = log_ticks(10**low, 10 ** (low + length))
        places = (np.log10(values) - low) / length
        assert 2 <= len(values) <= 7 and places[0] > -1e-9 and places[-1] < 1 + 1e-9
        assert np.diff(places).min() > 0.09


@pytest.mark.parametrize("count", [1, 30, 1000])
@pytest.mark.parametrize("last", [8.2, 0.3, 1e-3, 1e-9])
def test_curves_of_any_length_and_range_have_labels_apart(drawn, last, count):
    """Losses from 9 to `last`, with networks and times from small to large."""
    losses = np.geomspace(9, last, count)
    epochs = [
        {"stage": "student", "epoch": n, "loss": loss, "triplet_loss": loss / 7, "mAP": 10 + n % 80}
        | {"macs": 4.1e9 * loss, "training_macs": 4.1e9 * loss, "seconds": 1e4 * loss}
        for n, loss in enumerate(losses, start=1)
    ]
    curves(run(epochs))
    assert len(drawn) == 5
    for chart in drawn:
        assert_readable(chart)
        assert len(chart["y"]) >= 2
