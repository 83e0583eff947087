"""A run that is stopped before any of its writes, or by a power cut there, goes on to the same end."""

import concurrent.futures
import hashlib
import json
import os
import pathlib

import keras
import pytest

from keras_cdd.experiment.training_state import TrainingState
from keras_cdd.run_folder import layout
from keras_cdd.run_folder.reading import load_model
from keras_cdd.run_folder.workdir import Workdir
from tests import forked
from tests.reliability import tiny_run
from tests.reliability.disk import Recorder, tree, write_tree
from tests.reliability.system_calls import require_watching, watched

STAGES = ("teacher", "student")
# What the rest of a run depends on; all else is written anew.
READ = {layout.FLAGS, *layout.LOGS, "teacher.keras", "student.keras", "deploy.keras", layout.CHANNELS, layout.SUMMARY}
RECOVERING = """
import sys
from tests.reliability.test_run_kills import recover
recover(sys.argv[1], open(sys.argv[2]).read())
"""
STARTING_ANEW = """
import sys
from keras_cdd.run_folder.workdir import Workdir
Workdir(sys.argv[1], "--seed=7\\n", resume=False).close()
"""
# Calls until a file that was renamed is on the disk: the rename itself and what flushes its folder.
UNTIL_FLUSHED = 3


class Recorded:
    """An uninterrupted run, and what a kill and a power cut before each of its writes leave."""

    def __init__(self, forks, folder):
        self.forks = forks
        self.photos = tiny_run.write_photos(folder / "photos")
        self.reference = folder / "place" / "run"
        self.reference.parent.mkdir()
        self.recorder = Recorder(self.reference.parent)
        done = watched(forks, [self.reference.parent], self.recorder, *tiny_run.command(self.photos, self.reference))
        assert not done.returncode, done.stderr
        self.recorder.look()
        self.settings = (self.reference / layout.FLAGS).read_text()
        # Of a folder that the start of a command has put in order -> the most untidy folder that became it.
        self.states = {}
        self.known, self.models = {}, {}

    def state(self, left, folder):
        """`(state, progress)` of a run whose folder was left so, once its command starts again."""
        left = {path: content for path, content in left.items() if not path.startswith("run/tensorboard")}
        key = frozenset(left.items())
        if key not in self.known:
            write_tree(left, folder)
            self.known[key] = recover(folder / "run", self.settings)
        state, _ = self.known[key]
        if len(left) > len(self.states.get(state, ())):
            self.states[state] = left
        return self.known[key]


def recover(folder, settings):
    """Does what a command's start does with a run's folder; returns what the rest depends on, and how far it is."""
    workdir, progress = Workdir(folder, settings), []
    try:
        for stage in STAGES:
            if workdir.has(f"{stage}.keras"):
                load_model(workdir / f"{stage}.keras", "Model", "")
                progress.append(100)
                continue
            saved = TrainingState(workdir, stage).load()
            progress.append(saved[2]["epoch"] if saved else 0)
            break
        progress += [workdir.has(name) for name in ("deploy.keras", layout.SUMMARY)]
    finally:
        workdir.close()
    whole = {path: content for path, content in tree(folder).items() if path in READ or is_checkpoint(path)}
    return hashlib.sha256(repr(sorted(whole.items())).encode()).hexdigest(), progress


def is_checkpoint(path):
    return pathlib.PurePath(path).parent in [pathlib.PurePath("checkpoints", stage) for stage in STAGES]


@pytest.fixture
def quick(recorded, monkeypatch):
    """Flushes nothing while thousands of folders are put in order, and reads each model once."""
    load = keras.saving.load_model

    def load_once(path, **options):
        content = pathlib.Path(path).read_bytes()
        if content not in recorded.models:
            recorded.models[content] = load(path, **options)
        return recorded.models[content]

    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(keras.saving, "load_model", load_once)


@pytest.fixture(scope="module")
def recorded(forks, tmp_path_factory):
    require_watching()
    return Recorded(forks, tmp_path_factory.mktemp("recorded"))


@pytest.mark.usefixtures("quick")
def test_a_kill_before_any_write_leaves_a_run_that_goes_on(recorded, tmp_path, tally):
    furthest = []
    for left in recorded.recorder.kills:
        _, progress = recorded.state(left, tmp_path / "left")
        assert progress >= furthest, "it lost something"
        furthest = progress
    calls = len(recorded.recorder.calls)
    tally("training: SIGKILL before each rename, write, fsync, unlink, ...", calls, "all states can be resumed")


@pytest.mark.usefixtures("quick")
def test_a_power_cut_before_any_write_leaves_the_old_or_the_new_file(recorded, tmp_path, tally):
    furthest = [recorded.state(left, tmp_path / "left")[1] for left in recorded.recorder.kills]
    for number, cuts in enumerate(recorded.recorder.cuts):
        for left in cuts:
            _, progress = recorded.state(left, tmp_path / "left")
            assert furthest[max(0, number - UNTIL_FLUSHED)] <= progress <= furthest[number], number
    calls = len(recorded.recorder.calls)
    tally("training: power cut before each of them, two kinds", 2 * calls, "the old or the new file, none empty")


@pytest.mark.usefixtures("quick")
def test_a_kill_while_a_killed_run_is_put_in_order_changes_nothing(recorded, tmp_path, tally):
    (tmp_path / "settings").write_text(recorded.settings)
    kills = 0
    for state, left in list(recorded.states.items()):
        write_tree(left, tmp_path / "place")
        recorder = Recorder(tmp_path / "place")
        command = ("-c", RECOVERING, str(tmp_path / "place" / "run"), str(tmp_path / "settings"))
        done = watched(recorded.forks, [tmp_path / "place"], recorder, *command)
        assert not done.returncode, done.stderr
        recorder.look()
        for again in (*recorder.kills, *(cut for cuts in recorder.cuts for cut in cuts)):
            assert recorded.state(again, tmp_path / "left")[0] == state
        kills += 3 * len(recorder.calls)
    tally("training: SIGKILL and power cut before each write of the start after one", kills, "the same start")


@pytest.mark.usefixtures("quick")
def test_a_kill_while_noresume_removes_a_run_never_mixes_two(recorded, tmp_path, tally):
    """What is left of the old run has its settings, so that the new ones are refused rather than go on with it."""
    write_tree(recorded.recorder.kills[-1], tmp_path / "place")
    recorder = Recorder(tmp_path / "place")
    command = ("-c", STARTING_ANEW, str(tmp_path / "place" / "run"))
    done = watched(recorded.forks, [tmp_path / "place"], recorder, *command)
    assert not done.returncode, done.stderr
    recorder.look()
    for left in (*recorder.kills, *(cut for cuts in recorder.cuts for cut in cuts)):
        files = {path.removeprefix("run/"): content for path, content in left.items() if content is not None}
        ran = any(path.split("/")[0] in layout.PROGRESS for path in files)
        assert files[layout.FLAGS] == recorded.settings.encode() or not ran
    tally(
        "training: SIGKILL and power cut while --noresume removes a run", 3 * len(recorder.calls), "no mixture of two"
    )


@pytest.mark.usefixtures("quick")
def test_every_state_that_a_kill_leaves_is_resumed_to_the_same_end(recorded, tmp_path, tally):
    def resume(number, left):
        write_tree(left, tmp_path / f"{number}")
        command = tiny_run.command(recorded.photos, tmp_path / f"{number}" / "run")
        done = forked.run(recorded.forks, *command)
        assert not done.returncode, done.stderr
        return tmp_path / f"{number}" / "run"

    for left in (*recorded.recorder.kills, *(cut for cuts in recorded.recorder.cuts for cut in cuts)):
        recorded.state(left, tmp_path / "left")
    assert len(recorded.states) > tiny_run.EPOCHS + 4
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        resumed = list(threads.map(resume, range(len(recorded.states)), recorded.states.values()))
    for workdir in resumed:
        tiny_run.assert_same_end(workdir, recorded.reference)
    surgeries = len((recorded.reference / layout.SURGERY).read_text().splitlines())
    outcome = f"the same files, logs and weights to the last bit ({tiny_run.EPOCHS} epochs, {surgeries} surgeries)"
    tally("training: resumed from every distinct state of all these", len(recorded.states), outcome)
    assert json.loads((recorded.reference / layout.SUMMARY).read_text())["macs_saved"] >= 30
