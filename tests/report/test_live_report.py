"""The page of a running run: it appears at once, is not drawn too often, and never stops the run."""

import pathlib
import time
import types

import pytest

from keras_cdd.report import LiveReport, page


@pytest.fixture
def world(monkeypatch):
    """A clock to set, and a drawing that takes a second and counts."""
    world = types.SimpleNamespace(now=1000.0, drawn=0)

    def draw(workdir):
        world.now += 1.0
        world.drawn += 1

    monkeypatch.setattr(time, "monotonic", lambda: world.now)
    monkeypatch.setattr(page, "write_report", draw)
    return world


def test_long_epochs_are_drawn_one_by_one_short_ones_together(world):
    report = LiveReport("x")
    for seconds, drawn in ((0, 1), (60, 2), (30, 3), (5, 3), (5, 3), (5, 3), (6, 4)):
        world.now += seconds
        report.epoch_done()
        assert world.drawn == drawn


def test_the_end_draws_what_is_new_and_nothing_else(world):
    with LiveReport("x") as report:
        report.epoch_done()
        report.epoch_done()
        assert world.drawn == 1
    assert world.drawn == 2
    with LiveReport("x") as report:
        report.epoch_done()
    assert world.drawn == 3


def test_an_interrupted_run_has_its_page(world):
    with pytest.raises(KeyboardInterrupt), LiveReport("x") as report:
        report.epoch_done()
        report.epoch_done()
        raise KeyboardInterrupt
    assert world.drawn == 2


def test_a_mistake_before_the_first_epoch_draws_nothing(world):
    with pytest.raises(ValueError, match="a bad flag"), LiveReport("x"):
        raise ValueError("a bad flag")
    assert world.drawn == 0


def test_a_failure_is_a_warning(monkeypatch, caplog, tmp_path):
    monkeypatch.setattr(page, "render", lambda run: 1 / 0)
    (pathlib.Path(tmp_path) / "flags.flags").write_text("")
    LiveReport(tmp_path).epoch_done()
    assert "the run goes on" in caplog.text and not (tmp_path / "report.html").exists()
