"""What a run has left in its workdir so far: settings, logs, data, models, exported files."""

import dataclasses
import functools
import json
import pathlib
import zipfile

from keras_cdd.data.registry import load_dataset
from keras_cdd.errors import MissingFileError, UserError
from keras_cdd.run_folder import layout
from keras_cdd.run_folder.json_lines import read_records
from keras_cdd.settings.flags import config_from_flagfile


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """Reads a workdir, whatever is there yet; the run may still be writing.

    Args:
        path: the workdir.
        data_dir, csv: where the run's data lies now, if no longer where the run found it.

    Raises:
        MissingFileError: if it is no folder of a run.
    """

    path: pathlib.Path
    data_dir: str | None = None
    csv: str | None = None

    def __post_init__(self):
        object.__setattr__(self, "path", pathlib.Path(self.path))
        if not (self.path / layout.FLAGS).is_file():
            raise MissingFileError(f"--workdir {self.path} holds no run; give the folder that a training wrote.")

    @functools.cached_property
    def config(self):
        """The run's `Config`, its data where it lies now.

        Raises:
            UserError: if the settings cannot be read.
        """
        config = config_from_flagfile(self.path / layout.FLAGS)
        moved = {name: getattr(self, name) for name in ("data_dir", "csv") if getattr(self, name) is not None}
        return dataclasses.replace(config, data=dataclasses.replace(config.data, **moved))

    @functools.cached_property
    def dataset(self):
        """The run's `RetrievalDataset`, with something in all splits."""
        data = self.config.data
        return load_dataset(data.dataset, data.data_dir, data.csv).validate()

    @property
    def image_size(self):
        """(height, width)."""
        return tuple(self.config.data.image_size)

    @functools.cached_property
    def settings(self):
        """Flag -> value as text; switches are "true" or "false"."""
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
        """The records of `cuts.jsonl`; runs without a budget have one at most."""
        return read_records(self.path / layout.CUTS)

    @functools.cached_property
    def summary(self):
        """`summary.json`; empty before the run's end."""
        return self._json(layout.SUMMARY) or {}

    @functools.cached_property
    def environment(self):
        return self._json(layout.ENVIRONMENT) or {}

    @functools.cached_property
    def examples(self):
        """What `keep_examples` saved; None before the run's end."""
        return self._json(layout.EXAMPLES)

    @functools.cached_property
    def exported(self):
        """File name of every `model_*.tflite` -> what `model_*.json` beside it says was measured."""
        found = {}
        for model in sorted(self.path.glob(layout.exported_name("*"))):
            record = self._json(model.with_suffix(".json").name)
            if isinstance(record, dict):
                found[model.name] = record | {"bytes": model.stat().st_size}
        return found

    def model_file(self, name):
        """Path of a model file. A teacher that was given lies where the settings say."""
        given = self.settings.get("teacher")
        return pathlib.Path(given) if given and name == layout.TEACHER else self.path / name

    def model(self, name="deploy"):
        """Loads `deploy`, `student` or `teacher`.

        Raises:
            MissingFileError: if the run has not written it, or the teacher that it was given is no longer there.
            UserError: if the file is damaged.
        """
        path = self.model_file(f"{name}.keras")
        if not path.is_file():
            if path != self.path / f"{name}.keras":
                raise MissingFileError(f"The teacher {path} of run {self.path} is not there; put it back.")
            raise MissingFileError(f"Run {self.path} has no {path.name}; let its training finish first.")
        return load_model(path, "Model", "train the run again")

    def size_of(self, name):
        """Bytes of a model file, or None if it is not there."""
        path = self.model_file(name)
        return path.stat().st_size if path.is_file() else None

    def _json(self, name):
        try:
            return json.loads((self.path / name).read_text())
        except (OSError, ValueError):
            return None


def load_model(path, what, remedy):
    """A Keras model from a file that a user named or a run left.

    Args:
        path: of a `.keras` file.
        what, remedy: for the message: what the file is to the user, and what to do if it cannot be used.

    Raises:
        MissingFileError: if there is no such file.
        UserError: if it is no complete model.
        ImportError: if the installation is broken.
    """
    import keras

    if not pathlib.Path(path).is_file():
        raise MissingFileError(f"{what} {path} is not there; {remedy}.")
    try:
        if not zipfile.is_zipfile(path):
            # Keras would say that there is no such file.
            raise ValueError("it is no complete .keras archive")
        return keras.saving.load_model(path, compile=False)
    except ImportError:
        raise
    except Exception as error:
        # A damaged file can fail anywhere: in zipfile, json, h5py, a layer.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{what} {path} cannot be loaded ({reason[:200]}); {remedy}.") from error
