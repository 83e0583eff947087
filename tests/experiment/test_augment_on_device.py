"""What the device changes is what the processor would have changed: the same losses."""

import dataclasses

import pytest

from keras_cdd.experiment import run_experiment
from keras_cdd.settings.config import Config, DataConfig, NetworkConfig, RunConfig, TrainingConfig
from tests.experiment.same_run import logged


@pytest.mark.slow
@pytest.mark.usefixtures("eager", "without_pictures")
def test_a_run_is_the_same_wherever_images_are_changed(photos, tiny_backbone, tmp_path):
    data = DataConfig(
        "folder",
        str(photos),
        image_size=(16, 16),
        identities_per_batch=4,
        images_per_identity=2,
        erasing=0.5,
        cache_dir=None,
    )
    records = []
    for on_device in (False, True):
        workdir = tmp_path / str(on_device)
        config = Config(
            dataclasses.replace(data, augment_on_device=on_device),
            NetworkConfig(tiny_backbone, width=8, embedding_size=8, stem="small"),
            TrainingConfig(epochs=1, teacher_epochs=1, warmup_epochs=0.0, learning_rate=0.01, deterministic=True),
            # The teacher learns from new changes, the student from views.
            run=RunConfig(str(workdir), student="heavy", teacher_cache_views=2, evaluate_teacher=False),
        )
        run_experiment(config, "")
        records.append(logged(workdir, "metrics.jsonl"))
    for record, other in zip(*records, strict=True):
        assert record["loss"] == pytest.approx(other["loss"], rel=1e-4)
