"""Runs that learn from given embeddings, without a teacher network."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from keras_cdd.data.registry import load_dataset
from keras_cdd.errors import UserError
from keras_cdd.experiment import run_experiment
from keras_cdd.experiment.common_ground import agreed_with_embeddings
from keras_cdd.losses import LossWeights
from keras_cdd.models.retrieval_model import retrieval_model
from keras_cdd.report.kept_examples import redo_examples
from keras_cdd.report.page import write_report
from keras_cdd.run_folder.reading import RunFiles
from keras_cdd.settings.config import (
    CompressionConfig,
    Config,
    DataConfig,
    DistillConfig,
    NetworkConfig,
    RunConfig,
    SurgeryConfig,
    TrainingConfig,
)
from keras_cdd.settings.flags import flagfile_text

pytestmark = pytest.mark.usefixtures("eager", "stock_backbone")


def config_of(photos, workdir, length, **weights):
    """Embeddings of random directions, an identity each, and the settings of a run that learns from them."""
    folder, dataset = photos, load_dataset("folder", str(photos))
    rng = np.random.default_rng(0)
    directions = {identity: 3 * rng.normal(size=length) for identity in dataset.identities}
    names = [pathlib.Path(record.path).relative_to(folder).as_posix() for record in dataset.train]
    embedding = [directions[record.identity] + rng.normal(size=length) for record in dataset.train]
    path = workdir.with_suffix(".npz")
    np.savez(path, path=names, embedding=embedding)
    return Config(
        data=DataConfig("folder", str(folder), image_size=(16, 16), identities_per_batch=4),
        network=NetworkConfig("tiny_stock", embedding_size=8),
        training=TrainingConfig(epochs=1, warmup_epochs=0.0, learning_rate=0.01),
        distill=DistillConfig(**weights),
        surgery=SurgeryConfig(target_macs=0.6, num_cuts=1, cut_start=0.0, cut_end=1.0, pad_channels=1),
        run=RunConfig(workdir=str(workdir), teacher_embeddings=str(path)),
    )


def losses(workdir):
    record = json.loads((workdir / "metrics.jsonl").read_text().splitlines()[-1])
    return {name for name in record if name.endswith("_loss")}


@pytest.mark.slow
def test_a_run_without_a_teacher_network_learns_shrinks_and_reports(photos, tmp_path, capsys):
    workdir = tmp_path / "run"
    config = config_of(photos, workdir, 8)
    summary = run_experiment(config, flagfile_text(config))
    assert losses(workdir) == {"identity_loss", "triplet_loss", "embedding_loss", "relation_loss"}
    assert "the logit and the feature loss are off" in capsys.readouterr().out
    assert 40.0 <= summary["macs_saved"] < 45.0 and "teacher" not in summary and "asymmetric" not in summary
    assert not (workdir / "teacher.keras").exists()
    redo_examples(workdir)
    page = write_report(workdir).read_text()
    assert "Rankings" in page and "for the teacher" not in page and 'data-row="teacher.keras"' not in page
    assert RunFiles(workdir).config.run.teacher_embeddings == config.run.teacher_embeddings


@pytest.mark.slow
def test_photos_need_no_labels_and_embeddings_no_equal_length(photos, tmp_path, capsys):
    workdir = tmp_path / "run"
    config = config_of(photos, workdir, 5, identity_weight=0.0, triplet_weight=0.0)
    # More than there are identities: batches do not follow them.
    data = dataclasses.replace(config.data, identities_per_batch=12)
    config = dataclasses.replace(config, data=data)
    run_experiment(config, flagfile_text(config))
    assert losses(workdir) == {"relation_loss"}
    assert "have 5 values, the student's 8: the embedding loss is off" in capsys.readouterr().out


def test_what_given_embeddings_cannot_give_is_off():
    student = retrieval_model("tiny_stock", (16, 16), 3, 8)
    weights, lines = agreed_with_embeddings(student, 8, LossWeights())
    assert weights == LossWeights(logit=0.0, feature=0.0) and len(lines) == 1
    assert agreed_with_embeddings(student, 8, LossWeights(logit=0.0, feature=0.0))[1] == []
    with pytest.raises(UserError, match="of 5 values teach this student nothing; .*--embedding_size=5"):
        agreed_with_embeddings(student, 5, LossWeights(relation=0.0))


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"run": RunConfig(teacher_embeddings="e.npz", teacher="t.keras")}, "exclude each other"),
        ({"compression": CompressionConfig(gradient_reset_epoch=1.0)}, "needs a teacher network"),
    ],
)
def test_settings_that_need_a_teacher_are_refused(sections, message):
    with pytest.raises(UserError, match=message):
        Config(**{"run": RunConfig(teacher_embeddings="e.npz")} | sections)
