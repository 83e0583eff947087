"""Saves and loads checkpoints; if the process is killed, the last complete checkpoint is kept."""

import json
import os
import pathlib
import shutil

import keras
import numpy as np
import tensorflow as tf

from keras_cdd.errors import UserError
from keras_cdd.run_folder.versions import KEY, VERSION, require_known
from keras_cdd.run_folder.writing import to_disk


def save_checkpoint(folder, model, variables, state):
    """Replaces the checkpoint in `folder`.

    Args:
        folder: folder of the stage's checkpoint; the folder that it is in is created if it is missing.
        model: `keras.Model`; saved with its architecture, so that it can be loaded after any surgery.
        variables: name -> variable (optimizer slots, queue, masks, scores).
        state: dict that can be written as JSON, such as the epoch.
    """
    folder = pathlib.Path(folder)
    fresh, old = folder.with_name(folder.name + ".new"), settled(folder)
    shutil.rmtree(fresh, ignore_errors=True)
    if not folder.parent.is_dir():
        # Not those above: a run does not make its workdir anew.
        folder.parent.mkdir()
        to_disk(folder.parent.parent)
    fresh.mkdir()
    model.save(fresh / "model.keras")
    arrays = {name: tf.convert_to_tensor(variable).numpy() for name, variable in variables.items()}
    np.savez(fresh / "variables.npz", **arrays)
    (fresh / "state.json").write_text(json.dumps({KEY: VERSION, **state}))
    for path in (*fresh.iterdir(), fresh):
        to_disk(path)
    if folder.exists():
        os.rename(folder, old)
    os.rename(fresh, folder)
    to_disk(folder.parent)
    _remove(old)


def load_checkpoint(folder):
    """Returns `(model, name -> array, state)` of the last complete checkpoint, or None if there is none.

    Raises:
        UserError: if the checkpoint cannot be read or is of another version.
    """
    folder = pathlib.Path(folder)
    settled(folder)
    if not folder.exists():
        return None
    require_known(folder / "state.json", f"Checkpoint {folder}", "remove it to start again")
    try:
        model = keras.saving.load_model(folder / "model.keras", compile=False)
        with np.load(folder / "variables.npz", allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        state = json.loads((folder / "state.json").read_text())
        state.pop(KEY, None)
        return model, arrays, state
    except ImportError:
        raise
    except Exception as error:
        # A damaged file can fail anywhere: in zipfile, json, h5py, a layer.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"Checkpoint {folder} cannot be read ({reason[:200]}); remove it to start again.") from None


def settled(folder):
    """Repairs the folder after a kill between the two renames; returns the free path for the previous checkpoint."""
    old = folder.with_name(folder.name + ".old")
    if not folder.exists() and old.exists():
        os.rename(old, folder)
    _remove(old)
    return old


def _remove(old):
    """Removes a folder for good: after a power cut, a run whose stage is over would not look for it again."""
    if old.exists():
        shutil.rmtree(old, ignore_errors=True)
        to_disk(old.parent)


def restore_variables(variables, arrays):
    """Assigns arrays to the variables of the same names, strictly.

    Raises:
        UserError: if names or shapes differ; the message names up to five of them.
    """
    problems = [f"{name} is missing" for name in variables.keys() - arrays.keys()]
    problems += [f"{name} has no place" for name in arrays.keys() - variables.keys()]
    problems += [
        f"{name} is {arrays[name].shape}, not {tuple(variables[name].shape)}"
        for name in variables.keys() & arrays.keys()
        if tuple(variables[name].shape) != arrays[name].shape
    ]
    if problems:
        raise UserError("The checkpoint belongs to another run: " + "; ".join(sorted(problems)[:5]))
    for name, variable in variables.items():
        variable.assign(arrays[name])
