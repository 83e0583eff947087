"""Whole runs on toy photos: what they leave behind, and that a kill costs nothing but time."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cdd.data import write_synthetic
from keras_cdd.experiment import phase_loop, run_experiment, surgeon
from keras_cdd.run_folder import checkpoint
from keras_cdd.settings.config import (
    CompressionConfig,
    Config,
    DataConfig,
    NetworkConfig,
    RunConfig,
    SurgeryConfig,
    TrainingConfig,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`"),
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


@pytest.fixture(scope="module", autouse=True)
def eager():
    """A dozen steps of a tiny network run sooner than their graphs are traced."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    write_synthetic(folder, train_identities=8, train_images=6, test_identities=4, test_images=4)
    return folder


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
        network=NetworkConfig(backbone="resnet18", width=4, stem="small", embedding_size=8),
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
    """An uninterrupted run."""
    workdir = tmp_path_factory.mktemp("whole")
    return workdir, run(photos, workdir, teacher, compression=RESET)


RESET = CompressionConfig(compression="lasso", compression_weight=0.01, gradient_reset_epoch=1.0, queue_size=32)


def logged(workdir, name):
    return [json.loads(line) for line in (workdir / name).read_text().splitlines()]


def test_a_run_leaves_its_files_and_lands_on_its_budget(whole):
    workdir, summary = whole
    assert {path.name for path in workdir.iterdir()} >= FILES
    assert not [path for path in workdir.rglob("*") if {"new", "old"} & set(path.name.split("."))]
    assert 40.0 <= summary["macs_saved"] < 41.0 and summary == json.loads((workdir / "summary.json").read_text())
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
    workdir, summary = whole
    again = run(photos, workdir, teacher, compression=RESET)
    assert {key: again[key] for key in ("student", "deploy")} == {key: summary[key] for key in ("student", "deploy")}


class Killed(BaseException):
    """Not an Exception: nothing may catch it, as nothing catches a kill."""


def fail_at(monkeypatch, target, name, call):
    """Lets the n-th call of a function end the run."""
    original, calls = getattr(target, name), []

    def failing(*args, **kwargs):
        calls.append(1)
        if len(calls) == call:
            raise Killed
        return original(*args, **kwargs)

    monkeypatch.setattr(target, name, failing)


KILLS = {
    "during a cut": (surgeon, "silence", 2),
    "during a surgery": (surgeon, "rebuild", 1),
    "during a checkpoint": (phase_loop, "save_checkpoint", 2),
    "between the renames of a checkpoint": (checkpoint.os, "rename", 3),
}


@pytest.mark.parametrize("when", KILLS)
def test_a_killed_and_resumed_run_equals_the_uninterrupted_one(whole, photos, teacher, tmp_path, monkeypatch, when):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        fail_at(patch, *KILLS[when])
        run(photos, tmp_path, teacher, compression=RESET)
    run(photos, tmp_path, teacher, compression=RESET)
    workdir, _ = whole
    expected = keras.saving.load_model(workdir / "student.keras")
    resumed = keras.saving.load_model(tmp_path / "student.keras")
    assert [w.shape for w in resumed.weights] == [w.shape for w in expected.weights]
    for ours, theirs in zip(resumed.weights, expected.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4, err_msg=theirs.path)
    lines, others = (logged(folder, "metrics.jsonl") for folder in (tmp_path, workdir))
    for line, other in zip(lines, others, strict=True):
        assert line["epoch"] == other["epoch"] and line["macs"] == other["macs"]
        assert line["loss"] == pytest.approx(other["loss"], abs=1e-4)
    assert logged(tmp_path, "cuts.jsonl") == logged(workdir, "cuts.jsonl")


def test_other_settings_in_the_same_workdir_are_refused(whole, photos, teacher):
    workdir, _ = whole
    with pytest.raises(ValueError, match="other settings"):
        run(photos, workdir, teacher, budget=0.5)


def test_a_static_student_takes_the_widths_of_a_run(whole, photos, teacher, tmp_path):
    workdir, summary = whole
    kept = str(workdir / "student.keras")
    static = run(photos, tmp_path, teacher, student="static", epochs=1, budget=None, kept_filters=kept)
    assert static["deploy"]["macs"] == summary["deploy"]["macs"]
    assert static["deploy"]["num_params"] == summary["deploy"]["num_params"]


def test_mixed_precision_shrinks_too_and_deploys_in_float32(photos, tmp_path):
    try:
        summary = run(photos, tmp_path, None, epochs=2, mixed=True)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert 40.0 <= summary["macs_saved"] < 41.0
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
