"""Runs whose teacher computes once for a number of views of each image."""

import dataclasses
import errno
import itertools
import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cdd.data.registry import load_dataset
from keras_cdd.data.training_data import TrainingData
from keras_cdd.distill import Distiller
from keras_cdd.distill.teacher_rows import TeacherRows
from keras_cdd.errors import UserError
from keras_cdd.experiment import run_experiment
from keras_cdd.experiment.teacher_views import teacher_views
from keras_cdd.models import gated_resnet
from keras_cdd.optimization import MomentumSGD
from keras_cdd.settings.config import (
    CompressionConfig,
    Config,
    DataConfig,
    NetworkConfig,
    RunConfig,
    SurgeryConfig,
    TrainingConfig,
)
from tests.experiment.same_run import logged
from tests.tiny_backbone import MOST_SAVED

NETWORK = {"width": 8, "embedding_size": 8, "stem": "small"}
STRONG = {"shift": 2, "rotation": 9.0, "erasing": 0.5, "random_crop": 0.5, "hue": 0.1}

pytestmark = pytest.mark.usefixtures("eager", "without_pictures")


def network(backbone, indicators):
    return gated_resnet(backbone, image_size=(16, 16), num_classes=8, indicators=indicators, **NETWORK)


def data_of(photos, tmp_path, seed=3):
    config = DataConfig(
        "folder", str(photos), image_size=(16, 16), identities_per_batch=4, cache_dir=str(tmp_path / "cache"), **STRONG
    )
    return TrainingData(load_dataset("folder", str(photos)), config, seed)


def test_batches_show_the_views_that_the_teacher_saw(photos, tmp_path):
    data, views = data_of(photos, tmp_path), 3
    count = len(data.store)
    batches = data.of_views(views, np.arange(views * count))
    whole = list(itertools.islice(batches.from_epoch(0).as_numpy_iterator(), 2 * data.steps_per_epoch))
    seen = np.concatenate([rows for _, _, rows in whole])
    assert set(seen // count) == set(range(views))
    for images, labels, rows in whole:
        np.testing.assert_array_equal(labels, data.labels[rows % count])
        np.testing.assert_allclose(images, data.view_images(views, rows), atol=1e-3)
    resumed = itertools.islice(batches.from_epoch(1).as_numpy_iterator(), data.steps_per_epoch)
    for first, second in zip(whole[data.steps_per_epoch :], resumed, strict=True):
        for one, other in zip(first, second, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_step_from_rows_is_the_step_with_the_teacher(photos, tmp_path, tiny_backbone):
    data = data_of(photos, tmp_path)
    teacher = network(tiny_backbone, "none")
    rows = Distiller(network(tiny_backbone, "both"), teacher, given_rows=True).teacher_rows
    images, labels = data.view_images(2, np.arange(8)), np.repeat(np.arange(4), 2).astype("int32")
    losses = []
    for given in (False, rows):
        keras.utils.set_random_seed(0)
        distiller = Distiller(network(tiny_backbone, "both"), teacher, given_rows=given)
        distiller.compile(MomentumSGD(0.01))
        batch = (images, labels, rows.packed(images)) if given else (images, labels)
        losses.append(distiller.fit(tf.data.Dataset.from_tensors(batch), verbose=0, shuffle=False).history)
    assert losses[0].keys() == losses[1].keys()
    for name, value in losses[0].items():
        np.testing.assert_allclose(losses[1][name], value, rtol=1e-2, atol=1e-2, err_msg=name)


def test_rows_are_kept_for_the_next_run_of_the_same_teacher_and_views(photos, tmp_path, tiny_backbone, monkeypatch):
    data, teacher, computed = data_of(photos, tmp_path), network(tiny_backbone, "none"), []
    rows = Distiller(network(tiny_backbone, "both"), teacher, given_rows=True).teacher_rows
    packed = TeacherRows.packed
    monkeypatch.setattr(TeacherRows, "packed", lambda self, images: computed.append(1) or packed(self, images))
    first = teacher_views(data, 2, teacher, rows)
    assert first.shape == (2 * len(data.store), rows.width) and len(computed) == 2
    np.testing.assert_array_equal(teacher_views(data_of(photos, tmp_path), 2, teacher, rows), first)
    assert len(computed) == 2
    # Other views, another seed, another teacher.
    teacher_views(data, 3, teacher, rows)
    teacher_views(data_of(photos, tmp_path, seed=4), 2, teacher, rows)
    teacher.weights[0].assign(teacher.weights[0] + 1.0)
    teacher_views(data, 2, teacher, rows)
    assert len(computed) == 2 + 3 + 2 + 2
    assert {path.suffix for path in (tmp_path / "cache" / "teachers").iterdir()} == {".npy"}


def test_without_room_rows_stay_in_memory(photos, tmp_path, tiny_backbone, capsys):
    data, teacher = data_of(photos, tmp_path), network(tiny_backbone, "none")
    rows = Distiller(network(tiny_backbone, "both"), teacher, given_rows=True).teacher_rows
    found = []
    for setting in ({"cache_gib": 1e-9}, {"cache_dir": ""}, {}):
        other = dataclasses.replace(data, config=dataclasses.replace(data.config, **setting))
        found.append(teacher_views(other, 1, teacher, rows))
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1], found[2])
    assert capsys.readouterr().out.count("kept in memory") == 1


def test_a_disk_that_fills_up_leaves_no_half_file(photos, tmp_path, tiny_backbone, monkeypatch, capsys):
    data, teacher = data_of(photos, tmp_path), network(tiny_backbone, "none")
    rows = Distiller(network(tiny_backbone, "both"), teacher, given_rows=True).teacher_rows

    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert len(teacher_views(data, 1, teacher, rows)) == len(data.store)
    assert "no space is left" in capsys.readouterr().out and not list((tmp_path / "cache" / "teachers").iterdir())


@pytest.mark.slow
def test_a_run_learns_from_views_and_shrinks(photos, tmp_path, tiny_backbone):
    teacher = network(tiny_backbone, "none")
    teacher.save(tmp_path / "teacher.keras")
    config = Config(
        dataclasses.replace(data_of(photos, tmp_path).config, images_per_identity=2),
        NetworkConfig(tiny_backbone, **NETWORK),
        TrainingConfig(epochs=2, warmup_epochs=0.0, learning_rate=0.01),
        compression=CompressionConfig(gradient_reset_epoch=0.0, queue_size=32),
        surgery=SurgeryConfig(target_macs=0.6, num_cuts=2, cut_start=0.0, cut_end=1.0, pad_channels=1),
        run=RunConfig(
            str(tmp_path / "run"),
            teacher=str(tmp_path / "teacher.keras"),
            teacher_cache_views=2,
            evaluate_teacher=False,
        ),
    )
    summary = run_experiment(config, "")
    assert 40 <= summary["macs_saved"] < MOST_SAVED and logged(tmp_path / "run", "surgery.jsonl")


def test_given_embeddings_have_no_views():
    with pytest.raises(UserError, match="--teacher_cache_views needs a teacher network"):
        Config(run=RunConfig(teacher_embeddings="e.npz", teacher_cache_views=2))
