"""Full and read-only disks, a workdir that disappears, other clocks: one line, the last good state, and on it goes."""

import errno
import os
import pathlib
import shutil
import subprocess

import pytest

from keras_cdd.run_folder.saved import saved_text
from tests import forked
from tests.reliability import tiny_run
from tests.reliability.full_disk import NEEDS_ROOM, full_at_every_call
from tests.reliability.system_calls import require_watching, watched

# Where the disk gets full, one after the other: the run goes on from each to the next.
PLACES = (
    "flags.flags",
    "environment.json",
    "tensorboard/teacher",
    "teacher.new/model.keras",
    "teacher.keras",
    "tensorboard/student",
    "metrics.jsonl",
    "student.new/model.keras",
    "student.new/variables.npz",
    "student.new/state.json",
    "cuts.jsonl",
    "surgery.jsonl",
    "channels.json",
    "student.keras",
    "deploy.keras",
    "summary.json",
)
SAVING = """
import pathlib
import keras, numpy as np, tensorflow as tf
from keras_cdd.run_folder import writing
from keras_cdd.run_folder.checkpoint import load_checkpoint, save_checkpoint
from keras_cdd.run_folder.json_lines import append_record, read_records
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])

def save(folder, number):
    folder = pathlib.Path(folder)
    append_record(folder / "a.jsonl", {"epoch": number})
    writing.write_json(folder / "a.json", {"epoch": number})
    writing.save_model(folder / "a.keras", model)
    save_checkpoint(folder / "checkpoints" / "student", model, {"score": tf.Variable([1.0])}, {"epoch": number})

def prepare(folder):
    save(folder, 1)

def attempt(folder):
    save(folder, 2)

def check(folder, failure):
    assert failure is None or isinstance(failure, OSError) and failure.errno, repr(failure)
    folder = pathlib.Path(folder)
    state = load_checkpoint(folder / "checkpoints" / "student")[2]
    assert state["epoch"] in ((1, 2) if failure else (2,))
    keras.saving.load_model(folder / "a.keras")
    attempt(folder)
    assert load_checkpoint(folder / "checkpoints" / "student")[2] == {"epoch": 2}
    records = [record["epoch"] for record in read_records(folder / "a.jsonl")]
    assert records[0] == 1 and records[-1] == 2
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    files = ["model.keras", "state.json", "variables.npz"]
    assert names == ["a.json", "a.jsonl", "a.keras", *(f"checkpoints/student/{name}" for name in files)]
"""
ODD_CLOCK = """
import itertools, runpy, sys, time
jumps, now = itertools.cycle([0, 4e7, -9e7, 3e6]), time.time
time.time = lambda: now() + next(jumps)
_, module, *sys.argv[1:] = sys.argv[1:]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def reference(forks, tmp_path_factory):
    """`(photos, workdir)` of an uninterrupted run."""
    require_watching()
    folder = tmp_path_factory.mktemp("reference")
    photos = tiny_run.write_photos(folder / "photos")
    done = forked.run(forks, *tiny_run.command(photos, folder / "run"))
    assert not done.returncode, done.stderr
    return photos, folder / "run"


def last_line(done):
    """What a command that failed says; it is one line."""
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    *_, line = done.stderr.splitlines()
    assert line.startswith("error: ") and "This is a bug" not in done.stderr
    return line


def assert_names_the_state(line, workdir):
    saved = saved_text(workdir)
    assert (f"{workdir} has {saved}: the same command continues" if saved else "Nothing is saved yet") in line


class FullFrom:
    """The answer of a disk without room from the first call on whose path has some text."""

    def __init__(self, place):
        self.place, self.full = place, False

    def __call__(self, call):
        self.full |= self.place in call.path and call.what in NEEDS_ROOM
        return errno.ENOSPC if self.full and call.what in NEEDS_ROOM else None


def test_a_run_on_a_full_disk(forks, reference, tmp_path, tally):
    photos, expected = reference
    for place in PLACES:
        full = FullFrom(place)
        done = watched(forks, [tmp_path / "run"], full, *tiny_run.command(photos, tmp_path / "run"))
        assert full.full, place
        line = last_line(done)
        assert "No space left on device" in line, (place, line)
        if place not in ("flags.flags",):
            assert_names_the_state(line, tmp_path / "run")
    done = forked.run(forks, *tiny_run.command(photos, tmp_path / "run"))
    assert not done.returncode, done.stderr
    tiny_run.assert_same_end(tmp_path / "run", expected)
    tally(
        "training: disk full from a file on", len(PLACES), "one line with the last good state; with room, the same end"
    )


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
def test_each_write_of_a_save(forks, tmp_path, tally, error):
    require_watching()
    (tmp_path / "saves").mkdir()
    messages = full_at_every_call(forks, tmp_path / "saves", SAVING, error)
    assert messages.pop() is None and len(messages) > 30
    what = {errno.ENOSPC: "disk full", errno.EIO: "disk broken (EIO)"}[error]
    tally(f"checkpoint, model, log, JSON: {what} from each write on", len(messages), "the old or the new file")


@pytest.fixture
def small_disk(tmp_path):
    """`small_disk(options, room)` mounts, or remounts, a disk in memory, and returns its folder; `room` is in bytes."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options, room=64 << 20):
        there = os.path.ismount(folder)
        disk = os.statvfs(folder)
        used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize if there else 0
        options = f"{'remount,' if there else ''}size={used + room},{options}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], check=True, capture_output=True)
        return folder

    try:
        mount("nr_inodes=9999")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root can mount a small disk")
    yield mount
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_small_disk_without_room_without_names_and_read_only(forks, reference, small_disk, tally):
    photos, expected = reference
    for limits in (("nr_inodes=5",), ("nr_inodes=12",), ("nr_inodes=9999", 100_000), ("nr_inodes=9999", 400_000)):
        folder = small_disk(*limits)
        line = last_line(forked.run(forks, *tiny_run.command(photos, folder / "run")))
        assert "No space left on device" in line, line
    small_disk("nr_inodes=9999")
    assert not forked.run(forks, *tiny_run.command(photos, folder / "run")).returncode
    tiny_run.assert_same_end(folder / "run", expected)
    tally("training: a tmpfs without names (2) or room (2)", 4, "one line; with room, the same end")
    small_disk("ro")
    commands = [
        tiny_run.command(photos, folder / "run"),
        ("-m", "keras_cdd.report", f"--workdir={folder}/run"),
        ("-m", "export.to_tflite", f"--workdir={folder}/run", "--precision=float32"),
    ]
    for command in commands:
        assert "Read-only file system" in last_line(forked.run(forks, *command))
    done = forked.run(forks, "-m", "keras_cdd.evaluate", f"--model={folder}/run/deploy.keras", *evaluating(photos))
    assert not done.returncode, done.stderr
    tally("read-only disk: train, report, export", len(commands), "one line")
    tally("read-only disk: evaluate", 1, "as ever")
    small_disk("rw")


def evaluating(photos):
    return ("--dataset=folder", f"--data_dir={photos}", "--cache_dir=")


@pytest.mark.parametrize("place", ["metrics.jsonl", "student.new", ".student.keras.new.keras"])
def test_a_workdir_that_is_removed_under_its_run(forks, reference, tmp_path, tally, place):
    photos, expected = reference
    workdir, removed = tmp_path / "run", []

    def remove(call):
        if call.path.endswith(place) and not removed:
            removed.append(call)
            shutil.rmtree(workdir)

    done = watched(forks, [workdir], remove, *tiny_run.command(photos, workdir))
    line = last_line(done)
    assert f"--workdir {workdir}" in line and "removed" in line, line
    assert not workdir.exists()
    tally("training: workdir removed under the run", 1, "one line; nothing is made in its place")


def test_other_clocks_change_nothing(forks, reference, tmp_path, monkeypatch, tally):
    """The clock jumps by months at each look, and the time zone changes with each start."""
    photos, expected = reference
    command = tiny_run.command(photos, tmp_path / "run")
    kills = ["checkpoints/teacher.new/state.json", "student.old", "surgery.jsonl"]
    for zone, place in zip(("Asia/Tokyo", "America/New_York", "Pacific/Kiritimati"), kills, strict=True):
        monkeypatch.setenv("TZ", zone)
        kill = lambda call, place=place: "kill" if place in call.path else None  # noqa: E731
        assert watched(forks, [tmp_path / "run"], kill, "-c", ODD_CLOCK, *command).returncode < 0
    monkeypatch.setenv("TZ", "UTC")
    done = forked.run(forks, "-c", ODD_CLOCK, *command)
    assert not done.returncode, done.stderr
    tiny_run.assert_same_end(pathlib.Path(tmp_path / "run"), expected)
    tally("training: a clock that jumps by months, another time zone after each kill", 3, "the same end")
