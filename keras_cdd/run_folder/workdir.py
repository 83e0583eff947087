"""Starts or resumes a run in its workdir, and writes its files; of several workers, only the chief does."""

import contextlib
import json
import os
import pathlib
import platform
import subprocess

import keras
import numpy as np
import tensorflow as tf

from keras_cdd.distill.team import Team
from keras_cdd.errors import UserError
from keras_cdd.run_folder import layout, writing
from keras_cdd.run_folder.json_lines import append_record, as_line, read_records
from keras_cdd.run_folder.lock import Lock
from keras_cdd.run_folder.removing import remove_but
from keras_cdd.run_folder.versions import KEY, VERSION, require_known
from keras_cdd.settings.flags import current_text


class Workdir:
    """The folder of a training run.

    Args:
        path: path of the folder; it is created if it is missing.
        settings: text of the run's flagfile. When resuming, it must equal that of the run in the folder, except for
            `--workdir`, `--resume` and `--download`.
        resume: True (the default) resumes the run in the folder; False removes its files and its exports.
        keep: files and folders that are never removed, because the run reads them.
        team: `Team` of the run, of which only the chief writes to the folder. Default: this process alone.

    Raises:
        UserError: if the folder cannot be written to, is in use, or contains a run with other settings; or if it is not
            the chief's.
    """

    def __init__(self, path, settings, resume=True, keep=(), team=None):
        self.path = pathlib.Path(path)
        self.team = team or Team()
        self._lock = None
        if self.team.is_chief:
            self._begin(path, settings, resume, keep)
        if self.awaited(layout.FLAGS) and not self.team.is_chief and _facts(self._settings()) != _facts(settings):
            raise UserError(
                f"Worker {self.team.index} has other settings than the chief of --workdir {path}; give all the same."
            )

    def _begin(self, path, settings, resume, keep):
        try:
            writing.make_folder(self.path)
            (self.path / ".writable").touch()
            (self.path / ".writable").unlink()
        except OSError as error:
            raise UserError(f"--workdir {path} cannot be written ({error.strerror}); choose another.") from None
        self._lock = Lock(self.path, f"--workdir {path}")
        try:
            if resume:
                self._check_settings(settings)
            else:
                remove_but(layout.left_behind(self.path), keep)
                # Until all else is gone for good, the settings are those of what is left.
                writing.to_disk(self.path)
            self.write_text(layout.FLAGS, settings)
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def explained(self):
        """Turns any error of a run whose folder was removed meanwhile into one that says so.

        Raises:
            UserError: in place of that error.
        """
        try:
            yield
        except Exception as error:
            if self.path.is_dir():
                raise
            raise UserError(f"--workdir {self.path} was removed while its run went on; start it again.") from error

    def close(self):
        """Ends the run's hold on the folder."""
        if self._lock is not None:
            self._lock.release()

    def _check_settings(self, settings):
        if not self.has(layout.FLAGS) or not any(self.has(name) for name in layout.PROGRESS):
            return  # The earlier run failed at its start; it may be started again with corrected settings.
        require_known(self.path / layout.ENVIRONMENT, f"--workdir {self.path}", "start again with --noresume")
        before, now = (_facts(current_text(text)) for text in (self._settings(), settings))
        if before != now:
            raise UserError(
                f"--workdir {self.path} holds a run with other settings ({', '.join(sorted(before ^ now)[:6])}); "
                "choose another, or start again with --noresume."
            )

    def _settings(self):
        return (self.path / layout.FLAGS).read_text()

    def __truediv__(self, name):
        return self.path / name

    def has(self, name):
        return (self.path / name).exists()

    def awaited(self, name):
        """Whether the chief has a file, which the others then see, too; all processes of the run call it."""
        return self.team.awaited(lambda: self.has(name), f"{name} in --workdir {self.path}")

    def write_text(self, name, text):
        if self.team.is_chief:
            writing.write_text(self.path / name, text)

    def write_json(self, name, value):
        if self.team.is_chief:
            writing.write_json(self.path / name, value)

    def read_json(self, name):
        return json.loads((self.path / name).read_text())

    def save_model(self, name, model):
        """Saves a model; the others wait until it is there."""
        if self.team.is_chief:
            writing.save_model(self.path / name, model)
        self.awaited(name)

    def append(self, name, record):
        """Appends a record to a .jsonl file, as one line."""
        if self.team.is_chief:
            append_record(self.path / name, record)

    def logged(self, stage):
        """Dict file name of a log -> number of records that a stage has written to it."""
        return {name: sum(record.get("stage") == stage for record in read_records(self / name)) for name in layout.LOGS}

    def rewind(self, stage, logged):
        """Removes the records that a stage wrote after a checkpoint; `logged` is the result of `logged()` then."""
        if not self.team.is_chief:
            return
        for name in layout.LOGS:
            if not self.has(name):
                continue
            kept, left = [], logged.get(name, 0)
            for record in read_records(self / name):
                if record.get("stage") == stage:
                    left -= 1
                    if left < 0:
                        continue
                kept.append(record)
            self.write_text(name, "".join(map(as_line, kept)))


_PLACE_FLAGS = ("--workdir=", "--resume", "--noresume", "--download", "--nodownload")


def _facts(settings):
    return {line for line in settings.splitlines() if not line.startswith(_PLACE_FLAGS)}


def environment(seed):
    """Dict of what a result depends on besides the settings: versions, processor, cores, devices, seed, Git commit.

    Under `versions.KEY` it has the version of the folder's format.
    """
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return {
        KEY: VERSION,
        "versions": {
            "python": platform.python_version(),
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
        },
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "devices": [device.name for device in tf.config.list_physical_devices()],
        "seed": seed,
        "git_commit": git.stdout.strip() if git.returncode == 0 else None,
    }
