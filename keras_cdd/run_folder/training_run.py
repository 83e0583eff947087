"""What a training run left: its settings, its data and its deployed model."""

import dataclasses
import functools
import pathlib

import keras

from keras_cdd.data import load_dataset
from keras_cdd.errors import MissingFileError, UserError
from keras_cdd.settings.flags import config_from_flagfile


@dataclasses.dataclass(frozen=True)
class TrainingRun:
    """The folder of a finished run, read only.

    Args:
        workdir: `--workdir` of the training command.
        data_dir, csv: where the data lies now, if no longer where the run found it.
    """

    workdir: str
    data_dir: str | None = None
    csv: str | None = None

    @functools.cached_property
    def config(self):
        """The run's `Config`.

        Raises:
            FileNotFoundError: if the folder holds no run.
            ValueError: if its settings cannot be read.
        """
        return _with_data(config_from_flagfile(self._file("flags.flags")), self.data_dir, self.csv)

    @functools.cached_property
    def dataset(self):
        """The run's `RetrievalDataset`, with something in all splits."""
        data = self.config.data
        return load_dataset(data.dataset, data.data_dir, data.csv).validate()

    @property
    def image_size(self):
        """(height, width)."""
        return tuple(self.config.data.image_size)

    def model(self, name="deploy"):
        """Loads `deploy`, `student` or `teacher`.

        Raises:
            FileNotFoundError: if the run has not written it.
            ValueError: if the file is damaged.
        """
        path = self._file(f"{name}.keras")
        try:
            return keras.saving.load_model(path, compile=False)
        except Exception as error:
            # A damaged file can fail anywhere: in zipfile, json, h5py, a layer.
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"Model {path} cannot be loaded: {reason[:200]}; train the run again.") from error

    def _file(self, name):
        folder = pathlib.Path(self.workdir)
        if not folder.is_dir():
            raise MissingFileError(f"There is no run {folder}; give the --workdir of a finished training.")
        if not (folder / name).is_file():
            raise MissingFileError(f"Run {folder} has no {name}; let its training finish first.")
        return folder / name


def _with_data(config, data_dir, csv):
    moved = {name: value for name, value in (("data_dir", data_dir), ("csv", csv)) if value is not None}
    return dataclasses.replace(config, data=dataclasses.replace(config.data, **moved))
