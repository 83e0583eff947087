"""The files of an invented run."""

import dataclasses
import json

import numpy as np
import pytest

from keras_cdd.data import load_dataset
from keras_cdd.evaluation import Evaluator
from keras_cdd.models import gated_resnet
from keras_cdd.report.examples import Examples

SITES = {f"stage{stage}_block{block}/conv{n}": 8 * stage for stage in (1, 2) for block in (1, 2) for n in (1, 2)}
FLAGS = """--dataset=synthetic
--image_size=64,64
--noflip
--backbone=resnet18
--width=12
--epochs=6
--teacher_epochs=4
--target_macs=0.45
--csv=a<b>&"c".csv
--resume
"""
SUMMARY = {
    "teacher": {"mAP": 71.684, "mINP": 9.1, "rank1": 82.031, "num_params": 401384, "macs": 10217472},
    "student": {"mAP": 73.821, "mINP": 9.2, "rank1": 81.25, "num_params": 122941, "macs": 4594560},
    "deploy": {"mAP": 73.82, "mINP": 9.2, "rank1": 81.25, "num_params": 122941, "macs": 4594560},
    "macs_saved": 55.032,
    "params_saved": 69.371,
    "latency_ms": {"teacher": 16.231, "student": 18.706, "deploy": 9.023},
    "seconds": {"teacher": 105.9, "student": 229.1},
}
INT8 = {"mAP": 73.511, "rank1": 80.469, "latency_ms": {"1_thread": 1.172, "2_threads": 0.8}}


def epochs():
    for stage, count in (("teacher", 4), ("student", 6)):
        for epoch in range(1, count + 1):
            loss = (9.0 if stage == "teacher" else 14.0) / epoch
            macs = 10217472 if stage == "teacher" else round(10217472 * (1 - 0.09 * epoch))
            record = {"stage": stage, "epoch": epoch, "phase": 0, "loss": loss, "identity_loss": loss / 2}
            if stage == "student":
                record |= {"triplet_loss": loss / 8} | ({"mAP": 12.0 * epoch} if epoch % 2 == 0 else {})
            yield record | {"macs": macs, "training_macs": 1.1 * macs, "num_params": 400000, "seconds": loss}


def surgeries():
    before = SITES
    for epoch in (2, 4):
        after = {site: round(0.6 * width) for site, width in before.items()}
        yield {
            "stage": "student",
            "epoch": epoch,
            "kept_filters_before": before,
            "kept_filters_after": after,
            "macs_before": 10217472 - 1000000 * epoch,
            "macs_after": 10217472 - 1000000 * (epoch + 2),
            "num_params_before": 400000 - 50000 * epoch,
            "num_params_after": 400000 - 50000 * (epoch + 2),
            "output_change": 3.1e-7,
        }
        before = after


CUT = {"stage": "student", "epoch": 3, "measure": "macs", "log10_range": [-2.0, 2.0], "line": 1.0}
CUT |= {"kept": [0, 0, 3, 9, 4], "removed": [2, 7, 1, 0, 0]}


@pytest.fixture
def running(tmp_path):
    """A run between two epochs; the last line of its log is still being written."""
    folder = tmp_path / "a_run"
    folder.mkdir()
    (folder / "flags.flags").write_text(FLAGS)
    (folder / "environment.json").write_text('{"versions": {"python": "3.11"}, "devices": ["CPU:0"], "seed": 0}\n')
    logs = {"metrics": epochs(), "surgery": surgeries(), "cuts": [CUT]}
    for name, records in logs.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"stage": "student", "ep')
    return folder


LONG_NAME = "God-Morgon-Orange-Red-Grapefruit-Juice-of-the-larger-kind"


@pytest.fixture(scope="session")
def evaluator():
    """Of vehicles with names: every third is long, every third would be markup, and the others have none."""
    dataset = load_dataset("synthetic")
    tested = sorted({record.identity for record in dataset.query})
    names = {n: f"{LONG_NAME}-{n}" for n in tested[::3]} | {n: f"<i>Cox</i> & {n}" for n in tested[1::3]}
    return Evaluator(dataclasses.replace(dataset, names=names), (32, 32))


@pytest.fixture(scope="session")
def examples(evaluator):
    """Of random embeddings in which every third query is found."""
    rng = np.random.default_rng(0)
    query, gallery = (rng.normal(size=(len(store), 128)) for store in (evaluator.query, evaluator.gallery))
    directions = rng.normal(size=(200, 128)) * 3
    gallery += directions[[record.identity for record in evaluator.gallery.records]]
    query[::3] += directions[[record.identity for record in evaluator.query.records]][::3]
    metrics = evaluator.rank(query, gallery)
    whose = ("student", "teacher")
    return Examples(
        evaluator,
        {who: (query, gallery) for who in whose},
        {who: metrics.average_precisions for who in whose},
        count=2,
    )


@pytest.fixture(scope="session")
def collected(examples):
    network = gated_resnet("resnet18", width=4, image_size=(32, 32), embedding_size=8)
    return examples.collect({"student": network, "teacher": network})


@pytest.fixture
def finished(running, collected):
    """A finished run with an exported file."""
    (running / "summary.json").write_text(json.dumps(SUMMARY))
    (running / "examples.json").write_text(json.dumps(collected))
    for name, size in {"teacher.keras": 1858143, "student.keras": 772374, "deploy.keras": 677273}.items():
        (running / name).write_bytes(bytes(size))
    (running / "model_int8.tflite").write_bytes(bytes(151234))
    (running / "model_int8.json").write_text(json.dumps(INT8))
    return running
