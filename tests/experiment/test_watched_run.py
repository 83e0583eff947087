"""The output of a run while it trains, and its pictures."""

import io
import json
import sys

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keras_cdd.data import write_synthetic
from keras_cdd.experiment import run_experiment
from keras_cdd.report import page
from keras_cdd.settings.config import Config, DataConfig, NetworkConfig, RunConfig, SurgeryConfig, TrainingConfig

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("eager", "tiny_backbone"),
]


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self):
        return True


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    photos = tmp_path_factory.mktemp("photos")
    write_synthetic(photos, train_identities=4, train_images=4, test_identities=4, test_images=4)
    return Config(
        data=DataConfig(
            dataset="folder", data_dir=str(photos), image_size=(16, 16), identities_per_batch=2, images_per_identity=4
        ),
        network=NetworkConfig(backbone="tiny", width=8, stem="small", embedding_size=8),
        training=TrainingConfig(epochs=2, teacher_epochs=1, warmup_epochs=0.0, learning_rate=0.01),
        surgery=SurgeryConfig(target_macs=0.6, num_cuts=2, cut_start=0.0, cut_end=1.0, pad_channels=1, fade=False),
        run=RunConfig(workdir=str(tmp_path_factory.mktemp("run")), eval_every=1, eval_cuts=True),
    )


@pytest.fixture(scope="module")
def watched(config):
    """A run on a terminal: its workdir as a path, what it printed, and what the bar showed."""
    with pytest.MonkeyPatch.context() as patch:
        printed, bar = io.StringIO(), Terminal()
        patch.setattr(sys, "stdout", printed)
        patch.setattr(sys, "stderr", bar)
        patch.setenv("COLUMNS", "120")
        run_experiment(config, "--dataset=folder\n--epochs=2\n")
    return page.RunFiles(config.run.workdir), printed.getvalue(), bar.getvalue()


def test_a_line_an_epoch_and_a_table_a_surgery(watched):
    run, printed, _ = watched
    lines = [line for line in printed.splitlines() if line.startswith(("teacher 1/1", "student 1/2", "student 2/2"))]
    assert len(lines) == 3 and all("M MACs" in line and "left in all" in line for line in lines)
    budget = 0.6 * run.surgeries[0]["macs_before"] / 1e6
    assert all(f"-> {budget:.2f} M MACs" in line and "mAP" in line for line in lines[1:])
    assert "surgery after epoch 1" in printed and "stage2_block1/conv1" in printed


def test_the_bar_names_phase_cost_and_time_left(watched):
    _, _, bar = watched
    assert "student 1/2 phase 0: " in bar and "student 2/2 phase 1: " in bar
    assert "2/2, loss" in bar and "left in all" in bar and " -> " in bar


def test_accuracy_on_the_way_is_logged(watched):
    run, _, _ = watched
    assert [("mAP" in e, e["stage"]) for e in run.epochs] == [(False, "teacher"), (True, "student"), (True, "student")]
    # No surgery and no step came after the last epoch.
    assert run.epochs[-1]["mAP"] == pytest.approx(run.summary["student"]["mAP"], abs=0.01)


def test_every_cut_leaves_its_importances(watched):
    run, _, _ = watched
    first = run.surgeries[0]
    assert [cut["epoch"] for cut in run.cuts] == [1, 1]
    assert sum(run.cuts[-1]["kept"]) == sum(first["kept_filters_after"].values())
    removed = sum(sum(cut["removed"]) for cut in run.cuts)
    assert removed == sum(first["kept_filters_before"].values()) - sum(first["kept_filters_after"].values())


def test_accuracy_is_measured_on_either_side_of_a_cut(watched):
    run, _, _ = watched
    cuts, epoch = run.cuts, run.epochs[1]
    assert all({"mAP_before", "mAP_after", "rank1_before", "rank1_after"} <= cut.keys() for cut in cuts)
    # The last cut fell on the epoch's last step; nothing was learnt between it and the epoch's own evaluation.
    assert cuts[-1]["mAP_after"] == epoch["mAP"]


def test_the_report_is_there_with_its_pictures(watched):
    run, _, _ = watched
    text = (run.path / "report.html").read_text()
    assert "finished" in text and "Where the networks look" in text and "Channels by importance" in text
    assert run.summary["latency_ms"].keys() == {"teacher", "student", "deploy"}
    assert not list(run.path.glob("*.new"))


def test_tensorboard_has_the_curves_and_the_rankings(watched):
    run, _, _ = watched
    events = EventAccumulator(str(run.path / "tensorboard" / "student"))
    tags = set(events.Reload().Tags()["tensors"])
    assert {"loss", "macs", "mAP", "seconds"} <= tags and "ranking 1, best" in tags


def test_a_failing_picture_does_not_stop_a_run(config, watched, monkeypatch, caplog):
    """The same run again: it trains nothing, evaluates, and cannot draw."""
    monkeypatch.setattr("keras_cdd.report.kept_examples.Examples.collect", lambda self, networks: 1 / 0)
    monkeypatch.setattr(page, "render", lambda run: 1 / 0)
    summary = run_experiment(config, "--dataset=folder\n--epochs=2\n")
    assert summary["deploy"]["mAP"] == json.loads((watched[0].path / "summary.json").read_text())["deploy"]["mAP"]
    assert caplog.text.count("the run goes on") == 2
