"""Whole runs with networks of stock layers and with teachers of another architecture."""

import json

import keras
import numpy as np
import pytest

from export.conversion.integer_form import integer_form
from export.conversion.quantize import to_tflite
from export.conversion.representative import representative_images
from keras_cdd.data import load_dataset
from keras_cdd.evaluation import Evaluator, load_embedder
from keras_cdd.experiment import run_experiment
from keras_cdd.report.page import render
from keras_cdd.run_folder.reading import RunFiles
from keras_cdd.settings.config import (
    CompressionConfig,
    Config,
    DataConfig,
    NetworkConfig,
    RunConfig,
    SurgeryConfig,
    TrainingConfig,
)
from keras_cdd.settings.flags import flagfile_text
from tests.experiment.conftest import tiny_stock

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("eager", "tiny_backbone", "stock_backbone"),
]


def run(photos, workdir, backbone, embedding_size=8, compression=None, surgery=None, student="heavy", **run):
    config = Config(
        data=DataConfig("folder", str(photos), image_size=(16, 16), identities_per_batch=4),
        network=NetworkConfig(backbone, width=8, stem="small", embedding_size=embedding_size),
        training=TrainingConfig(epochs=1, teacher_epochs=1, warmup_epochs=0.0, learning_rate=0.01),
        compression=compression or CompressionConfig(),
        surgery=surgery or SurgeryConfig(),
        run=RunConfig(workdir=str(workdir), student=student, **run),
    )
    return run_experiment(config, flagfile_text(config))


def losses(workdir):
    """The losses of the student's last epoch."""
    record = json.loads((workdir / "metrics.jsonl").read_text().splitlines()[-1])
    return {name for name in record if name.endswith("_loss")}


@pytest.fixture(scope="module")
def stock(photos, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("stock")
    return workdir, run(photos, workdir, "tiny_stock")


def test_a_backbone_of_stock_layers_goes_from_training_to_an_int8_file(stock, photos, tmp_path):
    workdir, summary = stock
    assert summary["macs_saved"] == 0.0 and summary["student"]["macs"] == summary["teacher"]["macs"] > 0
    model = RunFiles(workdir).model()
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)
    images = representative_images(load_dataset("folder", str(photos)).train, (16, 16), 16)
    file = tmp_path / "int8.tflite"
    file.write_bytes(to_tflite(integer_form(model), "int8", "uint8", images))
    found, expected = load_embedder(file)(images), np.asarray(model(images.astype("float32"))["embedding"])
    cosine = np.sum(found * expected, 1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosine.min() > 0.9


def test_the_summary_has_the_students_queries_in_the_teachers_gallery(stock, photos):
    workdir, summary = stock
    models = (RunFiles(workdir).model(name) for name in ("student", "teacher"))
    evaluator = Evaluator(load_dataset("folder", str(photos)), (16, 16))
    assert summary["asymmetric"] == evaluator.evaluate(*models).as_percent()


def test_its_report_names_the_network_and_shows_where_it_responds(stock):
    run = RunFiles(stock[0])
    assert "· tiny_stock ·" in " ".join(render(run).split())
    assert run.examples is not None and "logit_loss" in losses(stock[0])


def test_a_run_is_resumed_after_its_last_checkpoint(stock, photos):
    workdir, summary = stock
    for name in ("student.keras", "deploy.keras", "summary.json"):
        (workdir / name).unlink()
    assert run(photos, workdir, "tiny_stock")["deploy"] == summary["deploy"]


def test_it_shrinks_to_its_budget(stock, photos, tmp_path):
    cuts = SurgeryConfig(target_macs=0.6, num_cuts=1, cut_start=0.0, cut_end=1.0, pad_channels=1)
    teacher = str(stock[0] / "teacher.keras")
    summary = run(photos, tmp_path, "tiny_stock", surgery=cuts, student="cdd", teacher=teacher)
    assert 40.0 <= summary["macs_saved"] < 45.0
    assert {"feature_loss", "logit_loss", "embedding_loss"} <= losses(tmp_path)


def test_a_teacher_of_another_architecture_teaches_what_it_can(stock, photos, tmp_path, capsys):
    teacher = str(stock[0] / "teacher.keras")
    summary = run(photos, tmp_path, "tiny", embedding_size=6, teacher=teacher)
    said = capsys.readouterr().out
    assert "share no site of the same name and width: the feature loss is off" in said
    assert "8 values, the student's 6: the embedding loss is off" in said
    assert losses(tmp_path) == {"identity_loss", "triplet_loss", "logit_loss", "relation_loss"}
    assert summary["student"]["num_params"] != summary["teacher"]["num_params"]
    assert "asymmetric" not in summary


def test_a_teacher_without_logits_and_a_student_from_a_file(stock, photos, tmp_path, capsys):
    tiny_stock((16, 16)).save(tmp_path / "mine.keras")
    teacher = str(stock[0] / "deploy.keras")
    workdir = tmp_path / "run"
    run(photos, workdir, None, teacher=teacher, student_model=str(tmp_path / "mine.keras"))
    assert "The teacher has no logits: the logit loss is off." in capsys.readouterr().out
    assert "logit_loss" not in losses(workdir) and "relation_loss" in losses(workdir)
    student = keras.saving.load_model(workdir / "student.keras")
    assert student.get_layer("depthwise1") and student.get_layer("head_logits").kernel.shape == (8, 8)
    assert "· mine.keras ·" in " ".join(render(RunFiles(workdir)).split())


def test_without_common_sites_the_reset_is_off(stock, photos, tmp_path, capsys):
    teacher, reset = str(stock[0] / "teacher.keras"), CompressionConfig(gradient_reset_epoch=0.0)
    run(photos, tmp_path, "tiny", teacher=teacher, compression=reset)
    assert "the gradient reset is off." in capsys.readouterr().out
    assert (tmp_path / "deploy.keras").exists()
