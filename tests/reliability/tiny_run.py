"""A whole run in seconds: a teacher, a student that is cut and rebuilt, compiled as users run it."""

import os

import keras
import numpy as np

from keras_cdd.data import write_synthetic
from tests.experiment.same_run import assert_same_run

EPOCHS = 4
FLAGS = (
    "--dataset=folder --image_size=16,16 --identities_per_batch=4 --images_per_identity=4 --cache_dir= "
    "--backbone=tiny --width=8 --embedding_size=8 --stem=small --teacher_epochs=1 --warmup_epochs=0 "
    "--learning_rate=0.01 --deterministic --target_macs=0.7 --num_cuts=4 --cut_start=0 --pad_channels=1 "
    f"--epochs={EPOCHS} --cut_end={EPOCHS - 1}"
).split()
LEFT = (
    "flags.flags",
    "environment.json",
    "student.keras",
    "deploy.keras",
    "summary.json",
    "report.html",
    "examples.json",
)


def write_photos(folder):
    """The images of the tiny run."""
    write_synthetic(folder, train_identities=8, train_images=6, test_identities=4, test_images=4)
    return folder


def command(photos, workdir, *more):
    """The arguments of Python for a tiny run."""
    return ("-m", "keras_cdd.train", f"--data_dir={photos}", f"--workdir={workdir}", *FLAGS, *more)


def names(workdir):
    """All files of a run, but not those of TensorBoard, of which every process writes one."""
    found = (
        os.path.relpath(os.path.join(place, name), workdir) for place, _, files in os.walk(workdir) for name in files
    )
    return sorted(name for name in found if not name.startswith("tensorboard"))


def assert_same_end(workdir, reference):
    """Checks that two runs ended the same: files, logs but for times, and weights to the last bit."""
    assert names(workdir) == names(reference)
    assert set(LEFT) <= set(names(workdir))
    assert_same_run(workdir, reference)
    for name in ("teacher.keras", "student.keras", "deploy.keras"):
        ours, theirs = (keras.saving.load_model(folder / name, compile=False) for folder in (workdir, reference))
        for weight, other in zip(ours.weights, theirs.weights, strict=True):
            np.testing.assert_array_equal(weight, other, err_msg=f"{name} {other.path}")
