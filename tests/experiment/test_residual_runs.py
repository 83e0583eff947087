"""Whole runs that cut outer widths, of gated blocks and of stock layers: budget, deployed form, kill and resume."""

import dataclasses
import json
import shutil

import keras
import pytest

from keras_cdd.experiment import phase_loop, run_experiment
from keras_cdd.experiment.static_cut import StaticCut
from keras_cdd.layers import embedding_head
from keras_cdd.layers.indicator_kinds import INDICATOR_KINDS
from keras_cdd.models import count_macs
from keras_cdd.models.sites import sites
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

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("eager", "tiny_backbone", "without_pictures"),
]
EPOCHS = 4
L = keras.layers


@pytest.fixture(scope="module")
def own_model(tmp_path_factory):
    """A student of stock layers with a residual stream and a depthwise convolution."""
    image = keras.Input((16, 16, 3))
    x = L.Rescaling(1 / 127.5, -1.0)(image)
    x = L.ReLU()(L.BatchNormalization()(L.Conv2D(12, 3, strides=2, use_bias=False, name="stem")(x)))
    y = L.ReLU()(L.BatchNormalization()(L.Conv2D(24, 1, use_bias=False, name="expand")(x)))
    y = L.ReLU()(L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same", use_bias=False)(y)))
    x = L.Add()([x, L.BatchNormalization()(L.Conv2D(12, 1, use_bias=False, name="project")(y))])
    x = L.ReLU()(L.BatchNormalization()(L.Conv2D(32, 1, use_bias=False, name="last")(x)))
    path = tmp_path_factory.mktemp("model") / "own.keras"
    keras.Model(image, embedding_head(x, 8)).save(path)
    return path


def run(photos, folder, student_model, **settings):
    config = Config(
        DataConfig("folder", str(photos), image_size=(16, 16), identities_per_batch=4, images_per_identity=4),
        NetworkConfig(None if student_model else "tiny", width=8, embedding_size=8, stem="small"),
        TrainingConfig(epochs=EPOCHS, teacher_epochs=1, warmup_epochs=0.0, learning_rate=0.01, deterministic=True),
        surgery=SurgeryConfig(
            target_macs=0.4, residual=True, num_cuts=4, cut_start=0.0, cut_end=EPOCHS - 1, pad_channels=2
        ),
        run=RunConfig(str(folder), student_model=student_model and str(student_model), evaluate_teacher=False),
    )
    return run_experiment(dataclasses.replace(config, **settings), "")


@pytest.mark.parametrize("kind, indicator", [("stock", "diagonal"), ("gated", "diagonal")])
def test_compression_and_reset_act_on_indicators_of_both_kinds(kind, indicator, photos, own_model, tmp_path):
    surgery = SurgeryConfig(target_macs=0.5, importance="reset", num_cuts=2, cut_start=0.5, cut_end=2.0)
    backbone, student_model = (None, own_model) if kind == "stock" else ("tiny", None)
    summary = run(
        photos,
        tmp_path,
        student_model,
        network=NetworkConfig(backbone, width=8, indicator=indicator, stem="small", embedding_size=8),
        compression=CompressionConfig(compression="lasso", gradient_reset_epoch=0.0, queue_size=32),
        training=TrainingConfig(epochs=3, teacher_epochs=1, warmup_epochs=0.0, learning_rate=0.01),
        surgery=surgery,
    )
    assert 50 <= summary["macs_saved"] < 70
    lines = logged(tmp_path, "metrics.jsonl")
    assert lines[-1]["compression_loss"] > 0
    student, deploy = (keras.saving.load_model(tmp_path / f"{name}.keras") for name in ("student", "deploy"))
    found = sites(student)
    assert {type(found.indicator(name)) for name in found.kernels()} == {INDICATOR_KINDS[indicator]}
    assert all(type(layer).__module__.startswith("keras.") for layer in deploy.layers)
    assert summary["student"]["mAP"] == pytest.approx(summary["deploy"]["mAP"], abs=0.5)


@pytest.mark.parametrize("kind", [pytest.param("gated", marks=pytest.mark.reliability), "stock"])
def test_outer_widths_leave_and_a_killed_run_equals_the_uninterrupted_one(
    kind, photos, own_model, tmp_path, monkeypatch
):
    workdir, student_model = tmp_path / "whole", own_model if kind == "stock" else None
    epoch_end = phase_loop.PhaseLoop.epoch_end

    def copying(self, distiller, epoch):
        epoch_end(self, distiller, epoch)
        if self.name == "student" and self.workdir.path == workdir:
            shutil.copytree(workdir, tmp_path / f"killed{epoch}")

    killed = tmp_path / f"killed{EPOCHS - 2}"

    def first(self, model):
        if self.name == "student" and not (tmp_path / "heavy.keras").exists():
            model.save(tmp_path / "heavy.keras")
        return whole_run(self, model)

    whole_run = phase_loop.PhaseLoop.run
    monkeypatch.setattr(phase_loop.PhaseLoop, "run", first)
    monkeypatch.setattr(phase_loop.PhaseLoop, "epoch_end", copying)
    summary = run(photos, workdir, student_model)
    assert 60 <= summary["macs_saved"] < 75
    surgeries = logged(workdir, "surgery.jsonl")
    outer = {"gated": "stage2_block1/conv2", "stock": "last"}[kind]
    assert surgeries[-1]["kept_filters_after"][outer] < surgeries[0]["kept_filters_before"][outer]
    assert all(surgery["output_change"] < 1e-5 for surgery in surgeries)
    assert surgeries[-1]["macs_after"] == summary["deploy"]["macs"]
    deploy = keras.saving.load_model(workdir / "deploy.keras")
    assert all(type(layer).__module__.startswith("keras.") for layer in deploy.layers)
    assert summary["student"]["mAP"] == pytest.approx(summary["deploy"]["mAP"], abs=0.5)
    kept = json.loads((workdir / "channels.json").read_text())["kept_channels"]
    after = surgeries[-1]["kept_filters_after"]
    assert {name: len(channels) for name, channels in kept.items()} == {name: after[name] for name in kept} != {}
    run(photos, killed, student_model)
    assert_same_run(killed, workdir)
    heavy = keras.saving.load_model(tmp_path / "heavy.keras")
    static = StaticCut(heavy, str(workdir / "student.keras"), residual=True).applied(heavy, random=True)
    assert count_macs(static) == summary["deploy"]["macs"]
