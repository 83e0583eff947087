"""The files of a run are found, also after they were moved."""

import keras
import pytest

from keras_cdd.errors import MissingFileError, UserError
from keras_cdd.run_folder.reading import RunFiles, load_model
from keras_cdd.settings.config import Config, RunConfig
from keras_cdd.settings.flags import flagfile_text


@pytest.fixture
def model():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])


def run_with(folder, **settings):
    (folder / "flags.flags").write_text(flagfile_text(Config(run=RunConfig(**settings))))
    return RunFiles(folder)


def test_a_teacher_that_was_given_is_loaded_from_where_it_lies(model, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "elsewhere").mkdir()
    given = tmp_path / "elsewhere" / "big.keras"
    model.save(given)
    run = run_with(tmp_path / "run", teacher=str(given))
    assert run.model("teacher").output_shape == (None, 1) and run.size_of("teacher.keras") == given.stat().st_size
    given.unlink()
    with pytest.raises(MissingFileError, match="teacher .*big.keras of run .* is not there"):
        run.model("teacher")


def test_a_teacher_of_its_own_lies_in_the_workdir(model, tmp_path):
    run = run_with(tmp_path)
    with pytest.raises(MissingFileError, match="has no teacher.keras"):
        run.model("teacher")
    model.save(tmp_path / "teacher.keras")
    assert run.model("teacher").output_shape == (None, 1)


def test_data_that_was_moved(tmp_path):
    (tmp_path / "flags.flags").write_text(flagfile_text(Config()))
    moved = RunFiles(tmp_path, data_dir="there", csv="list.csv").config
    assert (moved.data.data_dir, moved.data.csv, moved.data.dataset) == ("there", "list.csv", "synthetic")


def test_what_is_no_run_and_no_model_is_a_user_s_mistake(tmp_path):
    with pytest.raises(MissingFileError, match="holds no run"):
        RunFiles(tmp_path)
    (tmp_path / "torn.keras").write_bytes(b"PK")
    with pytest.raises(UserError, match="--teacher .*torn.keras cannot be loaded .*; give another."):
        load_model(tmp_path / "torn.keras", "--teacher", "give another")


def test_only_measured_files_are_exported_ones(tmp_path):
    run = run_with(tmp_path)
    (tmp_path / "model_int8.tflite").write_bytes(b"123")
    (tmp_path / "model_int8.json").write_text('{"mAP": 1.0}')
    (tmp_path / "model_float16.tflite").write_bytes(b"1")
    (tmp_path / "model_card.json").write_text("{}")
    assert run.exported == {"model_int8.tflite": {"mAP": 1.0, "bytes": 3}}
