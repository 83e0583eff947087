"""Numbers that make no sense: a run stops with one line that says where, or ends with finite weights."""

import json
import shutil

import keras
import numpy as np
import pytest

from keras_cdd.errors import UserError
from keras_cdd.experiment import phase_loop, run_experiment
from keras_cdd.models import gated_resnet
from keras_cdd.models.gated_units import gated_units
from keras_cdd.run_folder.checkpoint import load_checkpoint
from keras_cdd.settings.config import (
    CompressionConfig,
    Config,
    DataConfig,
    NetworkConfig,
    RunConfig,
    SurgeryConfig,
    TrainingConfig,
)
from tests.experiment.conftest import one_timed_call, photos, tiny_backbone, without_pictures  # noqa: F401

pytestmark = pytest.mark.usefixtures("eager", "tiny_backbone", "without_pictures")
CUT = SurgeryConfig(target_macs=0.6, num_cuts=2, cut_start=0.0, cut_end=1.0, surgery_every=1, pad_channels=1)
RESET = CompressionConfig(compression="lasso", gradient_reset_epoch=0.0, reset_neighbours=16, queue_size=16)


def run(
    folder,
    workdir,
    surgery=None,
    compression=None,
    epochs=2,
    batch=(4, 4),
    teacher=None,
    student_model=None,
    **training,
):
    config = Config(
        DataConfig(
            "folder", str(folder), image_size=(16, 16), identities_per_batch=batch[0], images_per_identity=batch[1]
        ),
        NetworkConfig(None if student_model else "tiny", width=4, stem="small", embedding_size=8),
        TrainingConfig(epochs=epochs, teacher_epochs=1, warmup_epochs=0.0, learning_rate=0.01, **training),
        surgery=surgery or CUT,
        compression=compression or CompressionConfig(),
        run=RunConfig(str(workdir), teacher=teacher, student_model=student_model, evaluate_teacher=False),
    )
    return run_experiment(config, "")


def assert_sound(workdir):
    """Weights and logged losses are finite, and every site has kept a channel."""
    student = keras.saving.load_model(workdir / "student.keras")
    assert all(np.isfinite(weight).all() for weight in student.get_weights())
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    logged = [value for record in records for key, value in record.items() if key.endswith("loss")]
    assert logged and np.isfinite(logged).all()
    for line in (workdir / "surgery.jsonl").read_text().splitlines() if (workdir / "surgery.jsonl").exists() else ():
        assert min(json.loads(line)["kept_filters_after"].values()) >= 1


@pytest.fixture(scope="module")
def teacher(photos, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("teacher")
    config = Config(
        DataConfig("folder", str(photos), image_size=(16, 16), identities_per_batch=4, images_per_identity=4),
        NetworkConfig("tiny", width=4, stem="small", embedding_size=8),
        TrainingConfig(epochs=1, teacher_epochs=1, warmup_epochs=0.0, learning_rate=0.01),
        run=RunConfig(str(folder), student="heavy", evaluate_teacher=False),
    )
    run_experiment(config, "")
    return str(folder / "teacher.keras")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_last_good_checkpoint_is_named_and_kept(photos, teacher, tmp_path, monkeypatch, tally, value):  # noqa: F811
    """The weights break in the second epoch."""
    whole = phase_loop.PhaseLoop.epoch_end

    def breaking(loop, distiller, epoch):
        whole(loop, distiller, epoch)
        weight = distiller.student.trainable_weights[0]
        weight.assign(np.full(weight.shape, value))

    monkeypatch.setattr(phase_loop.PhaseLoop, "epoch_end", breaking)
    last = "the checkpoint of epoch 1 is the last good one"
    said = rf"student epoch 2, a loss is not finite since step \d+: .*identity.*; {last}. Lower --learning_rate"
    with pytest.raises(UserError, match=said):
        run(photos, tmp_path, teacher=teacher, epochs=3, surgery=SurgeryConfig(target_macs=1.0))
    model, _, state = load_checkpoint(tmp_path / "checkpoints/student")
    assert state["epoch"] == 1 and all(np.isfinite(weight).all() for weight in model.get_weights())
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 1
    tally(f"bad numbers: weights that become {value}", 1, "stopped; step, loss and last good checkpoint named")


@pytest.fixture
def ignorant(teacher, tmp_path):
    """`ignorant(change)`: a teacher whose weights are changed by `change(weight)`."""

    def save(change):
        model = keras.saving.load_model(teacher)
        for weight in model.weights:
            weight.assign(change(weight))
        model.save(tmp_path / "ignorant.keras")
        return str(tmp_path / "ignorant.keras")

    return save


CHANGES = {
    "zeros": lambda weight: np.zeros(weight.shape),
    "kernels of zeros": lambda weight: np.zeros(weight.shape) if "kernel" in weight.path else weight,
}


@pytest.mark.parametrize(
    "change, importance",
    [("zeros", "fisher"), ("zeros", "reset"), ("kernels of zeros", "norm")],
)
def test_a_teacher_that_knows_nothing(photos, ignorant, tmp_path, tally, change, importance):  # noqa: F811
    """Its student starts as its copy, with its dead channels, or learns from its equal embeddings."""
    surgery = SurgeryConfig(**{**vars(CUT), "importance": importance})
    compression = CompressionConfig(**{**vars(RESET), "reset_neighbours": 2})
    run(photos, tmp_path, surgery, compression, teacher=ignorant(CHANGES[change]))
    assert_sound(tmp_path)
    tally(f"bad numbers: a teacher of {change}, importance {importance}", 1, "trained and cut to the end, all finite")


def test_dead_indicators(photos, teacher, tmp_path, tally):  # noqa: F811
    """All channels of the student say nothing from the start."""
    student = gated_resnet("tiny", width=4, image_size=(16, 16), num_classes=8, embedding_size=8, stem="small")
    for unit in gated_units(student).values():
        unit.indicator.kernel.assign(np.zeros(unit.indicator.kernel.shape))
    student.save(tmp_path / "dead.keras")
    surgery = SurgeryConfig(**{**vars(CUT), "importance": "norm"})
    run(photos, tmp_path / "run", surgery, RESET, teacher=teacher, student_model=str(tmp_path / "dead.keras"))
    assert_sound(tmp_path / "run")
    tally("bad numbers: a student of dead indicators", 1, "trained and cut to the end, all finite")


def kept_widths(workdir):
    return set(json.loads((workdir / "surgery.jsonl").read_text().splitlines()[-1])["kept_filters_after"].values())


def masks(workdir):
    with np.load(workdir / "checkpoints/student/variables.npz") as arrays:
        return np.concatenate([arrays[name] for name in arrays.files if "mask:" in name])


# Surgery, settings of the reset, and what it must have come to.
EMPTY = {
    "no channel is reset": (CUT, {"reset_ratio": 0.0}, lambda workdir: masks(workdir).min() == 1),
    # Of one image and one neighbour: otherwise all of them would have to agree.
    "all channels of a site but one are reset": (
        CUT,
        {"reset_ratio": 0.99, "reset_neighbours": 1},
        lambda workdir: masks(workdir).mean() < 0.4,
    ),
    "no channel is above the threshold": (
        SurgeryConfig(importance_threshold=1e9, importance="norm", pad_channels=1),
        {},
        lambda workdir: kept_widths(workdir) == {1},
    ),
    # Just above the least that this network can have.
    "a budget of one channel a site": (
        SurgeryConfig(**{**vars(CUT), "target_macs": 0.348}),
        {},
        lambda workdir: kept_widths(workdir) == {1},
    ),
}


@pytest.mark.parametrize("what", EMPTY)
def test_empty_masks(photos, teacher, tmp_path, tally, what):  # noqa: F811
    surgery, reset, happened = EMPTY[what]
    batch = (1, 1) if reset.get("reset_neighbours") else (4, 4)
    run(photos, tmp_path, surgery, CompressionConfig(**{**vars(RESET), **reset}), batch=batch, teacher=teacher)
    assert_sound(tmp_path)
    assert happened(tmp_path)
    tally(f"bad numbers: {what}", 1, "trained and cut to the end, all finite, a channel stays everywhere")


def some(photos, folder, identities, camera=None):  # noqa: F811
    """The photos with so many training identities, or all taken by one camera."""
    shutil.copytree(photos, folder)
    for path in sorted((folder / "train").iterdir())[identities:]:
        shutil.rmtree(path)
    for number, path in enumerate(sorted(folder.glob("*/*/*.png")) if camera is not None else ()):
        path.rename(path.with_name(f"{path.name.partition('_c')[0]}_c{camera}_{number:05}.png"))
    return folder


def test_one_class(photos, tmp_path, tally):  # noqa: F811
    run(some(photos, tmp_path / "one", 1), tmp_path / "run", batch=(1, 4))
    assert_sound(tmp_path / "run")
    tally("bad numbers: one training identity", 1, "trained and cut to the end, all finite")


def test_batches_of_one(photos, tmp_path, tally):  # noqa: F811
    run(some(photos, tmp_path / "two", 2), tmp_path / "run", batch=(1, 1), compression=RESET, epochs=1)
    assert_sound(tmp_path / "run")
    tally("bad numbers: batches of one image, more neighbours than are queued", 1, "trained to the end, all finite")


def test_one_camera(photos, teacher, tmp_path, tally):  # noqa: F811
    """Every right answer is junk: refused before anything is trained."""
    with pytest.raises(UserError, match="no query with a match in the gallery"):
        run(some(photos, tmp_path / "one", 8, camera=0), tmp_path / "run", teacher=teacher)
    assert not (tmp_path / "run/student.keras").exists() and not (tmp_path / "run/checkpoints").exists()
    tally("bad numbers: one camera", 1, "refused before training")
