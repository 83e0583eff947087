"""A kill at any moment of a save leaves one complete checkpoint."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cdd.run_folder.checkpoint import load_checkpoint, restore_variables, save_checkpoint


class Killed(Exception):
    """Stands for the end of the process."""


def save(folder, epoch):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    save_checkpoint(folder, model, {"score": tf.Variable([float(epoch)])}, {"epoch": epoch})


def test_the_checkpoint_comes_back(tmp_path):
    assert load_checkpoint(tmp_path / "student") is None
    save(tmp_path / "student", 1)
    save(tmp_path / "student", 2)
    model, arrays, state = load_checkpoint(tmp_path / "student")
    assert model.output_shape == (None, 1) and state == {"epoch": 2}
    np.testing.assert_array_equal(arrays["score"], [2.0])
    assert [path.name for path in tmp_path.iterdir()] == ["student"]


@pytest.mark.parametrize("fatal", range(1, 3))
def test_a_kill_while_saving(fatal, tmp_path, monkeypatch):
    """Whichever rename is the last act, and even if the next save is killed too."""
    folder, rename, calls = tmp_path / "student", os.rename, []

    def dying(*paths):
        calls.append(paths)
        if len(calls) == fatal:
            raise Killed
        rename(*paths)

    save(folder, 1)
    for _ in range(2):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            calls.clear()
            patch.setattr(os, "rename", dying)
            save(folder, 2)
    assert load_checkpoint(folder)[2] == {"epoch": 1}
    save(folder, 3)
    assert load_checkpoint(folder)[2] == {"epoch": 3}


def test_a_torn_checkpoint_is_named(tmp_path):
    save(tmp_path / "student", 1)
    (tmp_path / "student" / "model.keras").write_bytes(b"torn")
    with pytest.raises(ValueError, match="student cannot be read"):
        load_checkpoint(tmp_path / "student")


def test_variables_are_restored_strictly():
    variables = {"a": tf.Variable([1.0, 2.0]), "b": tf.Variable(1)}
    restore_variables(variables, {"a": np.float32([3, 4]), "b": np.int32(5)})
    assert variables["b"].numpy() == 5
    with pytest.raises(ValueError, match="b is missing; c has no place"):
        restore_variables(variables, {"a": np.float32([3, 4]), "c": np.int32(5)})
    with pytest.raises(ValueError, match=r"a is \(1,\), not \(2,\)"):
        restore_variables(variables, {"a": np.float32([3]), "b": np.int32(5)})
