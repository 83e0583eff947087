"""A run can be started again with the teacher in its own folder."""

import dataclasses
import hashlib
import json

import pytest

from keras_cdd.data import write_synthetic
from keras_cdd.experiment import run_experiment
from keras_cdd.run_folder.reading import RunFiles
from keras_cdd.settings.config import Config, DataConfig, NetworkConfig, RunConfig, TrainingConfig
from keras_cdd.settings.flags import flagfile_text
from tests.tiny_backbone import add_tiny

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("eager")]


def train(config, **run):
    config = dataclasses.replace(config, run=dataclasses.replace(config.run, **run))
    run_experiment(config, flagfile_text(config))


def test_noresume_loads_the_teacher_that_lies_in_the_workdir(tmp_path, monkeypatch):
    add_tiny(monkeypatch.setitem)
    write_synthetic(tmp_path / "photos", train_identities=4, train_images=4, test_identities=2, test_images=4)
    workdir = tmp_path / "run"
    config = Config(
        data=DataConfig("folder", str(tmp_path / "photos"), image_size=(16, 16), identities_per_batch=4),
        network=NetworkConfig("tiny", width=4, stem="small", embedding_size=8),
        training=TrainingConfig(epochs=1, teacher_epochs=1, warmup_epochs=0.0),
        run=RunConfig(workdir=str(workdir), student="heavy"),
    )
    train(config)
    teacher = workdir / "teacher.keras"
    before = hashlib.sha256(teacher.read_bytes()).hexdigest()
    for name in ("model_int8.tflite", "model_int8.json"):
        (workdir / name).write_text("{}")
    train(config, teacher=str(teacher), resume=False)
    assert hashlib.sha256(teacher.read_bytes()).hexdigest() == before
    assert not list(workdir.glob("model_*"))
    # The teacher was loaded, not trained again, and an export can learn from it.
    stages = [json.loads(line)["stage"] for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert stages == ["student"]
    run = RunFiles(workdir)
    assert run.model_file("teacher.keras") == teacher and run.summary
    assert "logits" in run.model("teacher").output
