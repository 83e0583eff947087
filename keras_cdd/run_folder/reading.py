"""Reads what a run has written to its workdir so far: settings, logs, models, exported files."""

import dataclasses
import functools
import json
import pathlib
import zipfile

from keras_cdd.data.registry import load_dataset
from keras_cdd.errors import MissingFileError, UserError
from keras_cdd.run_folder import layout
from keras_cdd.run_folder.json_lines import read_records
from keras_cdd.run_folder.versions import require_known
from keras_cdd.settings.flags import config_from_flagfile

# What tells one evaluation of `evaluations.jsonl` from another.
EVALUATED = ("model", "pretrained", "image_height", "image_width", "gallery_model", "gallery_embeddings")


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """Reads a workdir; the run may be unfinished and still writing.

    Args:
        path: the workdir.
        data_dir, csv: new location of the run's data, if it was moved.

    Raises:
        MissingFileError: if the folder contains no run.
        UserError: if the run is of another version.
    """

    path: pathlib.Path
    data_dir: str | None = None
    csv: str | None = None

    def __post_init__(self):
        object.__setattr__(self, "path", pathlib.Path(self.path))
        if not (self.path / layout.FLAGS).is_file():
            raise MissingFileError(f"--workdir {self.path} holds no run; give the folder that a training wrote.")
        require_known(self.path / layout.ENVIRONMENT, f"--workdir {self.path}", "train the run again")

    @functools.cached_property
    def config(self):
        """The run's `Config`, with the new location of its data.

        Raises:
            UserError: if the settings cannot be read.
        """
        config = config_from_flagfile(self.path / layout.FLAGS)
        moved = {name: getattr(self, name) for name in ("data_dir", "csv") if getattr(self, name) is not None}
        return dataclasses.replace(config, data=dataclasses.replace(config.data, **moved))

    @functools.cached_property
    def dataset(self):
        """The run's `RetrievalDataset`, validated."""
        data = self.config.data
        return load_dataset(data.dataset, data.data_dir, data.csv).validate()

    @property
    def image_size(self):
        """(height, width) in pixels."""
        return tuple(self.config.data.image_size)

    @functools.cached_property
    def settings(self):
        """Dict flag -> value as text; Boolean flags are "true" or "false"."""
        settings = {}
        for line in (self.path / layout.FLAGS).read_text().splitlines():
            name, given, value = line.removeprefix("--").partition("=")
            if line.startswith("--"):
                off = not given and name.startswith("no")
                settings[name.removeprefix("no") if off else name] = value if given else "false" if off else "true"
        return settings

    @functools.cached_property
    def epochs(self):
        """The records of `metrics.jsonl`."""
        return read_records(self.path / layout.METRICS)

    @functools.cached_property
    def surgeries(self):
        """The records of `surgery.jsonl`."""
        return read_records(self.path / layout.SURGERY)

    @functools.cached_property
    def cuts(self):
        """The records of `cuts.jsonl`; a run without a budget has at most one."""
        return read_records(self.path / layout.CUTS)

    @functools.cached_property
    def evaluations(self):
        """The records of `evaluations.jsonl`; of a model that was evaluated again, only the last."""
        records = read_records(self.path / layout.EVALUATIONS)
        return list({tuple(record.get(key) for key in EVALUATED): record for record in records}.values())

    @functools.cached_property
    def summary(self):
        """The dict of `summary.json`; empty before the end of the run."""
        return self._json(layout.SUMMARY) or {}

    @functools.cached_property
    def environment(self):
        return self._json(layout.ENVIRONMENT) or {}

    @functools.cached_property
    def examples(self):
        """The content that `keep_examples` saved; None before the end of the run."""
        return self._json(layout.EXAMPLES)

    @functools.cached_property
    def exported(self):
        """Dict file name of every `model_*.tflite` with a report -> the report (`model_*.json`), with its `bytes`."""
        found = {}
        for model in sorted(self.path.glob(layout.exported_name("*"))):
            record = self._json(model.with_suffix(".json").name)
            if isinstance(record, dict):
                found[model.name] = record | {"bytes": model.stat().st_size}
        return found

    def model_file(self, name):
        """Path of a model file; for a teacher that was given to the run, the path in the settings."""
        given = self.settings.get("teacher")
        return pathlib.Path(given) if given and name == layout.TEACHER else self.path / name

    def model(self, name="deploy"):
        """Loads the model "deploy" (the default), "student" or "teacher".

        Raises:
            MissingFileError: if the run has not written it yet, or if the teacher that it was given no longer exists.
            UserError: if the file is damaged.
        """
        path = self.model_file(f"{name}.keras")
        if not path.is_file():
            if path != self.path / f"{name}.keras":
                raise MissingFileError(f"The teacher {path} of run {self.path} is not there; put it back.")
            raise MissingFileError(f"Run {self.path} has no {path.name}; let its training finish first.")
        return load_model(path, "Model", "train the run again")

    def size_of(self, name):
        """Size of a model file in bytes, or None if it does not exist."""
        path = self.model_file(name)
        return path.stat().st_size if path.is_file() else None

    def _json(self, name):
        try:
            return json.loads((self.path / name).read_text())
        except (OSError, ValueError):
            return None


def load_model(path, what, remedy):
    """Loads a Keras model from a file of a user or of a run.

    Args:
        path: path of a `.keras` file.
        what: what the file is, such as a flag; the error message starts with it.
        remedy: what to do if the file cannot be used; the error message ends with it.

    Returns:
        `keras.Model`, not compiled.

    Raises:
        MissingFileError: if there is no such file.
        UserError: if it is not a complete model.
        ImportError: if the installation is broken.
    """
    import keras

    if not pathlib.Path(path).is_file():
        raise MissingFileError(f"{what} {path} is not there; {remedy}.")
    try:
        if not zipfile.is_zipfile(path):
            # Keras would report that the file does not exist.
            raise ValueError("it is no complete .keras archive")
        return keras.saving.load_model(path, compile=False)
    except ImportError:
        raise
    except Exception as error:
        # A damaged file can fail anywhere: in zipfile, json, h5py, a layer.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{what} {path} cannot be loaded ({reason[:200]}); {remedy}.") from error
