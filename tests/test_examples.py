"""The examples run."""

import json
import pathlib
import sys
import zipfile

import keras
import nbclient
import nbformat
import numpy as np
import pytest
from keras.src.applications import resnet

from examples import (
    own_data,
    own_loss,
    shrink_any_model,
    shrink_keras_application,
    shrink_own_model,
    teacher_embeddings,
)
from keras_cdd.data import load_image, write_synthetic
from keras_cdd.data.embedding_file import EmbeddingFile
from keras_cdd.models import BACKBONES
from tests.tiny_backbone import TINY

pytestmark = pytest.mark.slow
NOTEBOOK = pathlib.Path(__file__).resolve().parent.parent / "examples" / "quickstart_to_phone.ipynb"
SMALL_AND_SHORT = (
    "--image_size=32,32 --backbone=tiny --width=8 --stem=small --embedding_size=32 --identities_per_batch=8 "
    "--teacher_epochs=1 --epochs=2 --target_macs=0.7 --num_cuts=1 --cut_end=1"
)


def test_shrink_own_model(capsys):
    assert shrink_own_model.main(count=512) < 1e-3
    shown = capsys.readouterr().out
    accuracies = [float(line.rsplit(" ", 1)[1]) for line in shown.splitlines() if "accuracy" in line]
    assert len(accuracies) == 3 and accuracies[-1] > 0.8


def test_shrink_keras_application(capsys, monkeypatch):
    """With two, one and no blocks at the four sizes; test_pretrained.py gates and cuts all."""
    stack = resnet.stack_residual_blocks_v1

    def shorter(x, filters, _, **options):
        return x if filters > 128 else stack(x, filters, 2 if filters == 64 else 1, **options)

    monkeypatch.setattr(resnet, "stack_residual_blocks_v1", shorter)
    assert shrink_keras_application.main(count=512) < 1e-3
    shown = capsys.readouterr().out
    gated = shown.splitlines()[0]
    assert gated.startswith("gated:") and float(gated.rsplit(" ", 1)[1]) < 1e-5
    accuracies = [float(line.rsplit(" ", 1)[1]) for line in shown.splitlines() if "accuracy" in line]
    assert len(accuracies) == 2 and accuracies[-1] > 0.8


def test_shrink_any_model():
    accuracy, kept, change = shrink_any_model.main()
    assert accuracy > 0.8 and kept <= 0.4 and change < 1e-3


def test_own_loss(monkeypatch):
    """With a network of fewer blocks."""
    monkeypatch.setitem(BACKBONES, "resnet18", TINY["tiny"])
    before, after = own_loss.main(epochs=2)
    assert after > before


def test_own_data(tmp_path, forking_python, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(forking_python))
    short = (
        "--backbone=tiny",
        "--teacher_epochs=1",
        "--epochs=2",
        "--num_cuts=2",
        "--identities_per_batch=8",
        "--target_macs=0.7",
    )
    workdir = own_data.main(tmp_path, *short)
    assert json.loads((workdir / "summary.json").read_text())["macs_saved"] >= 30


def test_teacher_embeddings(tmp_path):
    dataset = write_synthetic(tmp_path / "photos", train_identities=4, train_images=3, test_identities=2, test_images=3)
    image = keras.Input((12, 16, 3))
    keras.Model(image, keras.layers.GlobalAveragePooling2D()(image)).save(tmp_path / "model.keras")
    assert teacher_embeddings.main(tmp_path / "model.keras", tmp_path / "photos", tmp_path / "e.npz") == 18
    found = EmbeddingFile(tmp_path / "e.npz", tmp_path / "photos").of(dataset.train)
    means = [load_image(record.path, (12, 16)).mean(axis=(0, 1)) for record in dataset.train]
    np.testing.assert_allclose(found, means, rtol=1e-4)


def test_the_notebook_ends_with_a_file_for_the_phone(tmp_path, forking_python):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    # The notebook takes photos that are there already.
    write_synthetic(tmp_path / "photos", train_identities=16, train_images=8, test_identities=8, test_images=4)
    photos = f"--dataset=folder --data_dir={tmp_path}/photos"
    places = {
        "runs/quickstart": str(tmp_path),
        "--flagfile=keras_cdd/configs/quickstart.flags": f"{SMALL_AND_SHORT} {photos}",
        "sys.executable": repr(str(forking_python)),
        # What so short a training loses or gains in int8 is chance.
        "--max_map_drop=2": "--max_map_drop=100",
    }
    for cell in notebook.cells:
        for place, other in places.items():
            cell.source = cell.source.replace(place, other)
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": NOTEBOOK.parent}})
    client.execute()
    with zipfile.ZipFile(tmp_path / "pair.zip") as pair:
        assert {"manifest.json", "model.tflite", "gallery.sqlite"} <= set(pair.namelist())
    shown = str([cell.get("outputs") for cell in notebook.cells])
    assert "% of the MACs saved" in shown and "image/png" in shown and "Conv2D" in shown
