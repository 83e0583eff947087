"""A worker that is not the chief reads the folder of a run, and writes nothing to it."""

import pytest

from keras_cdd.distill.team import Team
from keras_cdd.errors import UserError
from keras_cdd.run_folder import layout
from keras_cdd.run_folder.workdir import Workdir


class Follower(Team):
    """A worker whose chief has all the files that it asks for."""

    def __init__(self):
        super().__init__()
        self.is_chief, self.index = False, 1

    def of_chief(self, value):
        return True


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_it_writes_nothing(tmp_path):
    Workdir(tmp_path, "--seed=1\n").close()
    before = contents(tmp_path)
    run = Workdir(tmp_path, "--seed=1\n", resume=False, team=Follower())
    run.write_text("a.txt", "a")
    run.write_json("a.json", 1)
    run.append(layout.METRICS, {"stage": "student"})
    run.rewind("student", {})
    assert contents(tmp_path) == before


def test_it_needs_the_settings_of_the_chief(tmp_path):
    Workdir(tmp_path, "--seed=1\n").close()
    with pytest.raises(UserError, match="Worker 1 has other settings than the chief"):
        Workdir(tmp_path, "--seed=2\n", team=Follower())


def test_it_needs_the_folder_of_the_chief(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_cdd.distill.team.SECONDS_TO_SEE", 0)
    with pytest.raises(UserError, match="Worker 1 does not see flags.flags in .*a disk that all share"):
        Workdir(tmp_path / "elsewhere", "--seed=1\n", team=Follower())
