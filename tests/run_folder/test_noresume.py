"""--noresume removes the files of an earlier run, but none that the new run's flags name."""

import dataclasses

import pytest

from keras_cdd.run_folder import layout
from keras_cdd.run_folder.workdir import Workdir
from keras_cdd.settings.config import Config, DataConfig, RunConfig

EXPORTED = ("model_int8.tflite", "model_int8.json", "model_float16.tflite", "model_float16.json")
OURS = {
    *layout.RUN_FILES,
    *EXPORTED,
    "ranking.png",
    ".model_int8.tflite.new.tflite",
    ".report.html.new.html",
}
THEIRS = {"notes.txt", "model_card.json", "photos", "split.csv", "gallery.sqlite"}


@pytest.fixture
def folder(tmp_path):
    """A workdir with all files that a run, its exports and a user may have left."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in OURS | THEIRS:
        if "." in name:
            (folder / name).write_text(name)
        else:
            (folder / name).mkdir()
            (folder / name / "a.txt").write_text("a")
    return folder


def start(folder, config=None):
    config = config or Config()
    config = dataclasses.replace(config, run=dataclasses.replace(config.run, workdir=str(folder), resume=False))
    Workdir(folder, "--seed=1\n", config.run.resume, keep=config.named_paths).close()


def names(folder):
    return {path.name for path in folder.iterdir()} - {".lock"}


def test_everything_of_an_earlier_run_goes(folder):
    start(folder)
    assert names(folder) == THEIRS | {"flags.flags"}
    assert (folder / "flags.flags").read_text() == "--seed=1\n"


@pytest.mark.parametrize(
    "setting, name",
    [
        ("teacher", "teacher.keras"),
        ("kept_filters", "student.keras"),
        ("pretrained", "deploy.keras"),
        ("teacher", "checkpoints/a.txt"),
    ],
)
def test_a_file_that_a_flag_names_stays(folder, setting, name):
    start(folder, Config(run=RunConfig(**{setting: str(folder / name)})))
    assert (folder / name).is_file()
    assert names(folder) == THEIRS | {"flags.flags", name.split("/")[0]}


def test_a_relative_path_and_a_link_name_the_same_file(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.keras").symlink_to(folder / "student.keras")
    start(folder, Config(run=RunConfig(teacher="run/teacher.keras", kept_filters="link.keras")))
    assert names(folder) == THEIRS | {"flags.flags", "teacher.keras", "student.keras"}


def test_data_in_the_workdir_stays_and_data_around_it_protects_nothing(folder, tmp_path):
    start(folder, Config(data=DataConfig(data_dir=str(folder / "tensorboard"), csv=str(folder / "model_int8.json"))))
    assert names(folder) == THEIRS | {"flags.flags", "tensorboard", "model_int8.json"}
    start(folder, Config(data=DataConfig(data_dir=str(tmp_path))))
    assert names(folder) == THEIRS | {"flags.flags", "model_int8.json"}


def test_the_same_flags_continue_the_run_that_kept_its_teacher(folder):
    start(folder, Config(run=RunConfig(teacher=str(folder / "teacher.keras"))))
    Workdir(folder, "--seed=1\n").close()
    with pytest.raises(ValueError, match="other settings"):
        Workdir(folder, "--seed=2\n")
