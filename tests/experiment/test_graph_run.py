"""A whole run with traced steps, as users run it: cuts, surgeries, a kill and a resume."""

import shutil

import pytest

from keras_cdd.data import write_synthetic
from keras_cdd.experiment import phase_loop, run_experiment
from keras_cdd.models import gated_resnet
from keras_cdd.settings.config import Config, DataConfig, NetworkConfig, RunConfig, SurgeryConfig, TrainingConfig
from tests.experiment.same_run import assert_same_run, logged
from tests.tiny_backbone import MOST_SAVED

EPOCHS = 4


@pytest.mark.slow
@pytest.mark.usefixtures("without_pictures")
def test_a_killed_run_of_graphs_equals_the_uninterrupted_one(tiny_backbone, tmp_path, monkeypatch):
    """The kill comes after the checkpoint of the epoch of the last cut, when nothing is left to fade."""
    photos, workdir, killed = (tmp_path / name for name in ("photos", "whole", "killed"))
    write_synthetic(photos, train_identities=8, train_images=6, test_identities=4, test_images=4)
    network = {"width": 8, "embedding_size": 8, "stem": "small"}
    teacher = gated_resnet(tiny_backbone, image_size=(16, 16), num_classes=8, indicators="none", **network)
    teacher.save(tmp_path / "teacher.keras")
    epoch_end = phase_loop.PhaseLoop.epoch_end

    def copying(self, distiller, epoch):
        epoch_end(self, distiller, epoch)
        if epoch == EPOCHS - 1 and self.workdir.path == workdir:
            shutil.copytree(workdir, killed)

    def run(folder):
        config = Config(
            DataConfig("folder", str(photos), image_size=(16, 16), identities_per_batch=4, images_per_identity=4),
            NetworkConfig(tiny_backbone, **network),
            TrainingConfig(epochs=EPOCHS, warmup_epochs=0.0, learning_rate=0.01, deterministic=True),
            surgery=SurgeryConfig(target_macs=0.6, num_cuts=4, cut_start=0.0, cut_end=EPOCHS - 1, pad_channels=1),
            run=RunConfig(str(folder), teacher=str(tmp_path / "teacher.keras"), evaluate_teacher=False),
        )
        return run_experiment(config, "")

    monkeypatch.setattr(phase_loop.PhaseLoop, "epoch_end", copying)
    summary = run(workdir)
    assert 40 <= summary["macs_saved"] < MOST_SAVED
    assert len(logged(workdir, "surgery.jsonl")) > 1 and len(logged(killed, "metrics.jsonl")) == EPOCHS - 1
    run(killed)
    assert_same_run(killed, workdir)
