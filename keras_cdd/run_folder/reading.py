"""What a run has left in its workdir so far."""

import dataclasses
import functools
import json
import pathlib

from keras_cdd.errors import MissingFileError

EXAMPLES = "examples.json"


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """Reads a workdir, whatever is there yet; the run may still be writing.

    Attributes:
        path: the workdir.

    Raises:
        FileNotFoundError: if it is no folder of a run.
    """

    path: pathlib.Path

    def __post_init__(self):
        object.__setattr__(self, "path", pathlib.Path(self.path))
        if not (self.path / "flags.flags").is_file():
            raise MissingFileError(f"--workdir {self.path} holds no run; give the folder that a training wrote.")

    @functools.cached_property
    def settings(self):
        """Flag -> value as text; switches are "true" or "false"."""
        settings = {}
        for line in (self.path / "flags.flags").read_text().splitlines():
            name, given, value = line.removeprefix("--").partition("=")
            if line.startswith("--"):
                off = not given and name.startswith("no")
                settings[name.removeprefix("no") if off else name] = value if given else "false" if off else "true"
        return settings

    @functools.cached_property
    def epochs(self):
        """The records of `metrics.jsonl`."""
        return self._lines("metrics.jsonl")

    @functools.cached_property
    def surgeries(self):
        """The records of `surgery.jsonl`."""
        return self._lines("surgery.jsonl")

    @functools.cached_property
    def cuts(self):
        """The records of `cuts.jsonl`; runs without a budget have one at most."""
        return self._lines("cuts.jsonl")

    @functools.cached_property
    def summary(self):
        """`summary.json`; empty before the run's end."""
        return self._json("summary.json") or {}

    @functools.cached_property
    def environment(self):
        return self._json("environment.json") or {}

    @functools.cached_property
    def examples(self):
        """What `collect_examples` saved; None before the run's end."""
        return self._json(EXAMPLES)

    @functools.cached_property
    def exported(self):
        """File name of every `model_*.tflite` -> what `model_*.json` beside it says was measured."""
        found = {}
        for path in sorted(self.path.glob("model_*.json")):
            model, record = path.with_suffix(".tflite"), self._json(path.name)
            if isinstance(record, dict) and model.is_file():
                found[model.name] = record | {"bytes": model.stat().st_size}
        return found

    def model_file(self, name):
        """Path of a model file. A teacher that was given lies where the settings say."""
        path = self.path / name
        if name == "teacher.keras" and not path.is_file():
            path = pathlib.Path(self.settings.get("teacher", path))
        return path

    def size_of(self, name):
        """Bytes of a model file, or None if it is not there."""
        path = self.model_file(name)
        return path.stat().st_size if path.is_file() else None

    def _json(self, name):
        try:
            return json.loads((self.path / name).read_text())
        except (OSError, ValueError):
            return None

    def _lines(self, name):
        """The records of a .jsonl file; a last line that is not complete yet is left out."""
        try:
            lines = (self.path / name).read_text().splitlines()
        except OSError:
            return []
        records = []
        for line in lines:
            try:
                records.append(json.loads(line))
            except ValueError:
                continue
        return records
