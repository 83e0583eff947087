"""Whole runs with the settings of fine-tuning, through surgeries and kills."""

import itertools
import shutil

import keras
import numpy as np
import pytest

from keras_cdd.errors import UserError
from keras_cdd.experiment import phase_loop, run_experiment, training_state
from keras_cdd.experiment.weight_paths import weights_by_layer
from keras_cdd.models.backbones import STOCK_BACKBONES
from keras_cdd.settings.config import Config, DataConfig, NetworkConfig, RunConfig, SurgeryConfig, TrainingConfig
from tests.experiment.same_run import assert_same_run, logged

pytestmark = pytest.mark.usefixtures("eager", "tiny_backbone", "stock_backbone", "without_pictures")


def run(photos, workdir, backbone, head="linear", epochs=4, budget=0.6, training=None, **run):
    light = {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.05, "random_crop": 0.6}
    tuning = {"gradient_clip": 5.0, "backbone_learning_rate": 0.5, "ema": 0.9, "freeze_epochs": 1}
    config = Config(
        data=DataConfig("folder", str(photos), image_size=(16, 16), identities_per_batch=4, **light),
        network=NetworkConfig(backbone, width=8, stem="small", embedding_size=6, head=head),
        training=TrainingConfig(
            epochs=epochs,
            teacher_epochs=2,
            warmup_epochs=0.0,
            learning_rate=0.01,
            deterministic=True,
            **(tuning if training is None else training),
        ),
        surgery=SurgeryConfig(target_macs=budget, num_cuts=2, cut_start=min(1.0, epochs), cut_end=min(3.0, epochs)),
        run=RunConfig(workdir=str(workdir), student="heavy" if budget is None else "cdd", **run),
    )
    return run_experiment(config, repr(config) + "\n")


def copying(function, workdir, kept, calls_to_keep):
    """Wraps a function to copy the workdir before some of its calls: the files that a kill there would leave."""
    calls = itertools.count(1)

    def copied(*args, **kwargs):
        if (call := next(calls)) in calls_to_keep:
            shutil.copytree(workdir, kept / f"{function.__name__}{call}")
        return function(*args, **kwargs)

    return copied


# Before the second and the fourth checkpoint: in the first epoch after the frozen one, and after the last cut. Then
# when all epochs are done, but the averages are not yet used.
MOMENTS = ("save_checkpoint2", "save_checkpoint4", "use_averages1")


@pytest.mark.slow
@pytest.mark.parametrize(
    "backbone, head, freeze_bn, mixed, moments",
    [
        ("tiny_stock", "linear", False, False, MOMENTS[:1]),
        pytest.param("tiny", "none", True, True, MOMENTS, marks=pytest.mark.reliability),
    ],
)
def test_a_resumed_run_equals_an_uninterrupted_one(photos, tmp_path, backbone, head, freeze_bn, mixed, moments):
    settings = {"gradient_clip": 5.0, "backbone_learning_rate": 0.5, "ema": 0.9, "freeze_epochs": 1}
    settings |= {"freeze_bn": freeze_bn, "mixed_precision": mixed}
    run(photos, tmp_path / "teacher", backbone, head, epochs=1, budget=None, training={"teacher_freeze_epochs": 1})
    teacher = str(tmp_path / "teacher" / "teacher.keras")
    whole, kept = tmp_path / "whole", tmp_path / "kept"
    with pytest.MonkeyPatch.context() as patch:
        save, use = training_state.save_checkpoint, phase_loop.use_averages
        patch.setattr(training_state, "save_checkpoint", copying(save, whole, kept, {2, 4}))
        patch.setattr(phase_loop, "use_averages", copying(use, whole, kept, {1}))
        summary = run(photos, whole, backbone, head, training=settings, teacher=teacher)
    assert summary["macs_saved"] >= 40.0 and logged(whole, "surgery.jsonl")
    for moment in moments:
        shutil.rmtree(tmp_path / "resumed", ignore_errors=True)
        shutil.copytree(kept / moment, tmp_path / "resumed")
        flags = (tmp_path / "resumed" / "flags.flags").read_text().replace(str(whole), str(tmp_path / "resumed"))
        (tmp_path / "resumed" / "flags.flags").write_text(flags)
        run(photos, tmp_path / "resumed", backbone, head, training=settings, teacher=teacher)
        assert_same_run(tmp_path / "resumed", whole)


@pytest.mark.slow
def test_frozen_epochs_leave_the_given_weights(photos, tmp_path):
    backbone = STOCK_BACKBONES["tiny_stock"]((16, 16))
    backbone.save(tmp_path / "backbone.keras")
    frozen = {"teacher_freeze_epochs": 2, "freeze_epochs": 1}
    given = {"pretrained": str(tmp_path / "backbone.keras"), "student_init": "pretrained"}
    run(photos, tmp_path / "run", "tiny_stock", epochs=1, budget=None, training=frozen, **given)
    before = weights_by_layer(backbone)
    for name in ("teacher.keras", "student.keras"):
        model = keras.saving.load_model(tmp_path / "run" / name)
        for path, value in before.items():
            np.testing.assert_array_equal(weights_by_layer(model)[path], value, err_msg=path)


@pytest.mark.slow
def test_the_averages_become_the_network(photos, tmp_path):
    run(photos, tmp_path / "run", "tiny_stock", epochs=1, budget=None, training={"ema": 0.5})
    folder = tmp_path / "run" / "checkpoints" / "student"
    student = keras.saving.load_model(tmp_path / "run" / "student.keras")
    raw = weights_by_layer(keras.saving.load_model(folder / "model.keras"))
    with np.load(folder / "variables.npz") as arrays:
        averages = {name.removeprefix("optimizer/").removesuffix(":average"): arrays[name] for name in arrays.files}
    for weight in student.trainable_variables:
        np.testing.assert_array_equal(weight, averages[weight.path], err_msg=weight.path)
        assert not np.array_equal(raw[weight.path], averages[weight.path])
    # The statistics are those of the averaged weights.
    statistics = [path for path in raw if path.endswith("moving_mean")]
    assert statistics and any(np.any(raw[path] != weights_by_layer(student)[path]) for path in statistics)


def test_a_freeze_beyond_the_first_cut_is_refused(tmp_path):
    with pytest.raises(UserError, match="--freeze_epochs must be over at --cut_start"):
        Config(
            training=TrainingConfig(epochs=4, freeze_epochs=2), surgery=SurgeryConfig(target_macs=0.5, cut_start=1.0)
        )


def test_statistics_are_not_frozen_and_estimated_again():
    surgery = SurgeryConfig(bn_reestimate=4)
    with pytest.raises(UserError, match="--freeze_bn keeps the statistics that --bn_reestimate would replace"):
        Config(training=TrainingConfig(freeze_bn=True), surgery=surgery)
    Config(surgery=surgery)


@pytest.mark.parametrize("name, value", [("ema", 1.0), ("gradient_clip", -1.0), ("teacher_freeze_epochs", -1)])
def test_impossible_values_are_refused(name, value):
    with pytest.raises(UserError, match=f"--{name} must"):
        Config(training=TrainingConfig(**{name: value}))
