"""Whole runs on synthetic photos: the files that they write, and resuming after a kill."""

import itertools
import json
import shutil

import keras
import numpy as np
import pytest

from keras_cdd.experiment import phase_loop, run_experiment, surgeon, training_state
from keras_cdd.settings.config import (
    CompressionConfig,
    Config,
    DataConfig,
    NetworkConfig,
    RunConfig,
    SurgeryConfig,
    TrainingConfig,
)
from tests.experiment.same_run import assert_same_run, logged
from tests.tiny_backbone import MOST_SAVED

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("eager", "tiny_backbone"),
]
FILES = {
    "flags.flags",
    "environment.json",
    "metrics.jsonl",
    "surgery.jsonl",
    "student.keras",
    "deploy.keras",
    "summary.json",
    "checkpoints",
}


@pytest.fixture(scope="module")
def teacher(photos, tmp_path_factory):
    """A teacher of one epoch."""
    workdir = tmp_path_factory.mktemp("teacher")
    run(photos, workdir, None, student="heavy", epochs=1, budget=None)
    return workdir / "teacher.keras"


def run(
    photos, workdir, teacher, student="cdd", epochs=4, budget=0.6, compression=None, kept_filters=None, mixed=False
):
    config = Config(
        data=DataConfig(
            dataset="folder", data_dir=str(photos), image_size=(16, 16), identities_per_batch=4, images_per_identity=4
        ),
        network=NetworkConfig(backbone="tiny", width=8, stem="small", embedding_size=8),
        training=TrainingConfig(
            epochs=epochs,
            teacher_epochs=1,
            warmup_epochs=0.0,
            learning_rate=0.01,
            mixed_precision=mixed,
            deterministic=True,
        ),
        compression=compression or CompressionConfig(),
        surgery=SurgeryConfig(target_macs=budget, num_cuts=4, cut_start=0.0, cut_end=min(3.0, epochs), pad_channels=1),
        run=RunConfig(
            workdir=str(workdir),
            teacher=None if teacher is None else str(teacher),
            student=student,
            kept_filters=kept_filters,
        ),
    )
    return run_experiment(config, repr(config.surgery) + "\n")


@pytest.fixture(scope="module")
def whole(photos, teacher, tmp_path_factory):
    """An uninterrupted run: its workdir, its summary, and what a kill at each moment of `KILLS` would have left."""
    workdir, kept = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("kills")
    with pytest.MonkeyPatch.context() as patch:
        for (target, name), moments in KILLS.items():
            patch.setattr(target, name, copying(getattr(target, name), workdir, kept, moments))
        summary = run(photos, workdir, teacher, compression=RESET)
    return workdir, summary, kept


RESET = CompressionConfig(compression="lasso", compression_weight=0.01, gradient_reset_epoch=1.0, queue_size=32)

# Function -> {number of its call: what is about to happen then}. Checkpoints are written after epochs 1 to 4, and the
# last channels are gone at the end of epoch 3.
KILLS = {
    (surgeon, "silence"): {2: "a cut"},
    (training_state, "save_checkpoint"): {1: "the first checkpoint", 4: "the checkpoint after that of the last cut"},
    (phase_loop.PhaseLoop, "_distiller"): {2: "the phase after the first surgery"},
}
OFTEN = ("a cut", "the checkpoint after that of the last cut")
MOMENTS = [
    pytest.param(moment, marks=() if moment in OFTEN else pytest.mark.reliability)
    for moments in KILLS.values()
    for moment in moments.values()
]


def copying(function, workdir, kept, moments):
    """Wraps a function to copy the workdir before some of its calls: the files that a kill there would leave."""
    calls = itertools.count(1)

    def copied(*args, **kwargs):
        if (moment := moments.get(next(calls))) is not None:
            shutil.copytree(workdir, kept / moment)
        return function(*args, **kwargs)

    return copied


def test_a_run_leaves_its_files_and_lands_on_its_budget(whole):
    workdir, summary, _ = whole
    assert {path.name for path in workdir.iterdir()} >= FILES
    assert not [path for path in workdir.rglob("*") if {"new", "old"} & set(path.name.split("."))]
    assert 40.0 <= summary["macs_saved"] < MOST_SAVED and summary == json.loads((workdir / "summary.json").read_text())
    lines = logged(workdir, "metrics.jsonl")
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert all(np.diff([line["macs"] for line in lines]) <= 0)
    surgeries = logged(workdir, "surgery.jsonl")
    assert surgeries and all(surgery["output_change"] < 1e-5 for surgery in surgeries)
    assert lines[-1]["macs"] == surgeries[-1]["macs_after"] == summary["deploy"]["macs"]
    deploy = keras.saving.load_model(workdir / "deploy.keras")
    assert all(type(layer).__module__.startswith("keras.") for layer in deploy.layers)
    assert summary["student"]["mAP"] == pytest.approx(summary["deploy"]["mAP"], abs=0.5)


def test_repeating_the_command_changes_nothing(whole, photos, teacher):
    workdir, summary, _ = whole
    again = run(photos, workdir, teacher, compression=RESET)
    assert {key: again[key] for key in ("student", "deploy")} == {key: summary[key] for key in ("student", "deploy")}


@pytest.mark.usefixtures("without_pictures")
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_and_resumed_run_equals_the_uninterrupted_one(whole, photos, teacher, moment):
    workdir, _, kept = whole
    assert (kept / moment).is_dir()
    run(photos, kept / moment, teacher, compression=RESET)
    assert_same_run(kept / moment, workdir)


def test_other_settings_in_the_same_workdir_are_refused(whole, photos, teacher):
    workdir, *_ = whole
    with pytest.raises(ValueError, match="other settings"):
        run(photos, workdir, teacher, budget=0.5)


def test_a_static_student_takes_the_widths_of_a_run(whole, photos, teacher, tmp_path):
    workdir, summary, _ = whole
    kept = str(workdir / "student.keras")
    static = run(photos, tmp_path, teacher, student="static", epochs=1, budget=None, kept_filters=kept)
    assert static["deploy"]["macs"] == summary["deploy"]["macs"]
    assert static["deploy"]["num_params"] == summary["deploy"]["num_params"]


def test_mixed_precision_shrinks_too_and_deploys_in_float32(photos, tmp_path):
    try:
        summary = run(photos, tmp_path, None, epochs=4, mixed=True)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert 40.0 <= summary["macs_saved"] < MOST_SAVED
    assert all(line["output_change"] < 1e-2 for line in logged(tmp_path, "surgery.jsonl"))  # float16's resolution
    student = keras.saving.load_model(tmp_path / "student.keras")
    assert "float16" in {layer.compute_dtype for layer in student.layers}
    deploy = keras.saving.load_model(tmp_path / "deploy.keras")
    assert {layer.compute_dtype for layer in deploy.layers} == {"float32"}
    assert summary["student"]["mAP"] == pytest.approx(summary["deploy"]["mAP"], abs=2.0)


def test_a_budget_below_the_floor_is_refused_before_training(photos, teacher, tmp_path):
    with pytest.raises(ValueError, match="out of reach"):
        run(photos, tmp_path, teacher, budget=0.01)
    assert not (tmp_path / "metrics.jsonl").exists()
