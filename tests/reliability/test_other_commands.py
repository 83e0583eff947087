"""Commands after a training, stopped or without room at their writes: one line, and a repeat ends as it should."""

import errno
import io
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import zipfile

import pytest

from tests import forked
from tests.reliability.disk import Recorder, distinct, tree, write_tree
from tests.reliability.full_disk import NEEDS_ROOM
from tests.reliability.system_calls import require_watching, watched

RUNS = pathlib.Path(__file__).resolve().parents[1] / "data/run_0_1_0/runs.zip"
MODEL = "--model=finished/model_int8.tflite"
COMMANDS = {
    "report": ["keras_cdd.report", "--workdir=finished"],
    "to_tflite": ["export.to_tflite", "--workdir=finished", "--precision=float32"],
    "build_gallery": ["export.build_gallery", MODEL, "--images=photos", "--output=new/g.sqlite", "--batch_size=8"],
    "embed": ["export.embed", MODEL, "--images=photos", "--output=new/parts", "--rows=8", "--batch_size=4"],
    "search": ["export.search", MODEL, "--gallery=gallery.sqlite", "--query=q.png", "--show=new/r.png"],
    "android_assets": ["export.android_assets", MODEL, "--gallery=gallery.sqlite", "--pair=new/pair.zip"],
}
# Of the calls of a command, one in so many is tried.
STRIDES = {"to_tflite": 4, "embed": 4, "build_gallery": 4}

# SQLite does not tell why it cannot make a file.
DISK = ("No space left on device", "disk is full", "check the disk")


@pytest.fixture
def place(tmp_path):
    """A folder with a finished run, photos, a gallery and a query."""
    require_watching()
    with zipfile.ZipFile(RUNS) as archive:
        archive.extractall(tmp_path / "place")
    (tmp_path / "place/new").mkdir()
    shutil.copy(tmp_path / "place/photos/query/0004/0004_c0_00001.png", tmp_path / "place/q.png")
    return tmp_path / "place"


class FullAfter:
    """The answer of a disk that is full after a number of calls that need room."""

    def __init__(self, calls):
        self.left = calls

    def __call__(self, call):
        if call.what not in NEEDS_ROOM:
            return None
        self.left -= 1
        return errno.ENOSPC if self.left < 0 else None


def line_of(done):
    assert done.returncode == 1, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    # Above it is the bar that tells the progress.
    *above, line = done.stderr.splitlines()
    assert line.startswith("error: ") and (not above or "image" in "".join(above)), done.stderr
    return line


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_from_a_write_on(place, forks, tally, name):
    command, tried = ("-m", *COMMANDS[name]), 0
    while True:
        before = tree(place)
        full = FullAfter(tried * STRIDES.get(name, 1))
        done = watched(forks, [place], full, *command, cwd=place)
        if full.left >= 0:
            break
        line = line_of(done)
        assert any(text in line for text in DISK), line
        # What was there is as it was or replaced by its like; nothing new is empty.
        after = tree(place)
        assert {path for path in before if not path.endswith("-journal")} <= after.keys()
        # SQLite makes an empty file first; it is a new gallery for the next build.
        assert not [path for path, content in after.items() if content == b"" and ".sqlite" not in path]
        tried += 1
    assert not done.returncode and tried > 2, done.stderr
    left = [path for path in tree(place) if pathlib.PurePath(path).name.startswith(".") or path.endswith(".new")]
    assert not left
    tally(f"{name}: disk full from a write on", tried, "one line; with room, a repeat ends as ever")


# On a disk that is read-only only what writes elsewhere goes on.
READ_ONLY = {
    **COMMANDS,
    "search without a picture": COMMANDS["search"][:-1],
    "train with a cache": [
        "keras_cdd.train",
        "--flagfile=stopped/flags.flags",
        "--workdir={free}/run",
        "--cache_dir=c",
        "--teacher_cache_views=1",
    ],  # fmt: skip
}
GOES_ON = ("search without a picture",)


def test_a_read_only_disk(place, forks, tmp_path, tally):
    free = tmp_path / "free"
    free.mkdir()
    try:
        subprocess.run(["mount", "--bind", place, place], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root can make a disk read-only")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", place], check=True)
        before = tree(place)
        for name, command in READ_ONLY.items():
            done = forked.run(forks, "-m", *(part.format(free=free) for part in command), cwd=place)
            if name in GOES_ON:
                assert not done.returncode, done.stderr
            else:
                assert any(text in line_of(done) for text in ("Read-only file system", *DISK)), (name, done.stderr)
        assert tree(place) == before
    finally:
        subprocess.run(["umount", "-l", place], check=True)
    tally("read-only disk: commands after a training, and its cache", len(READ_ONLY) - len(GOES_ON), "one line")
    tally("read-only disk: search", len(GOES_ON), "as ever")


SAVED = {"build_gallery": "The gallery has all whole batches", "embed": "Files that are there are whole"}


@pytest.mark.parametrize("name, number", [("build_gallery", signal.SIGTERM), ("embed", signal.SIGINT)])
def test_a_signal_at_a_write(place, forks, tally, name, number):
    command, tried, stride = ("-m", *COMMANDS[name]), 0, 2 * STRIDES[name]
    assert not forked.run(forks, *command, cwd=place).returncode
    expected = content(place / "new")
    while True:
        shutil.rmtree(place / "new")
        (place / "new").mkdir()
        calls = []

        def stop(call, calls=calls, at=stride * tried):
            calls.append(call)
            if len(calls) == at + 1:
                os.kill(call.process, number)

        done = watched(forks, [place / "new"], stop, *command, cwd=place)
        if len(calls) <= stride * tried:
            break
        last = done.stderr.splitlines()[-1]
        # The last calls come when all is written.
        if done.returncode:
            assert done.returncode == 128 + number and last.startswith(f"stopped. {SAVED[name]}"), done.stderr
            assert "Traceback" not in done.stderr
            assert not forked.run(forks, *command, cwd=place).returncode
        assert content(place / "new") == expected
        tried += 1
    assert not done.returncode and tried > 8
    tally(f"{name}: {number.name} at a write", tried, "what is saved named; a repeat ends the same")


def unpacked(files):
    """A `tree` with the entries of archives in place of their bytes, which have the time."""
    for name, data in files.items():
        if name.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                files = files | {name: {entry: archive.read(entry) for entry in archive.namelist()}}
    return files


def content(folder):
    """Path below a folder -> what is in the file; of a gallery, its rows."""
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {name: rows(path) if path.suffix == ".sqlite" else path.read_bytes() for name, path in files.items()}


def rows(path):
    file = sqlite3.connect(path)
    try:
        return [file.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in ("images", "meta")]
    finally:
        file.close()


KILLED = {name: COMMANDS[name] for name in ("report", "search", "android_assets")}


@pytest.mark.parametrize("name", KILLED)
def test_a_kill_or_a_power_cut_before_any_write(place, forks, tmp_path, tally, name):
    """A file has its content of before or of after the command; a repeat ends as ever."""
    command, recorder, before = ("-m", *KILLED[name]), Recorder(place), tree(place)
    done = watched(forks, [place], recorder, *command, cwd=place)
    assert not done.returncode, done.stderr
    recorder.look()
    after = tree(place)
    assert after != before and before.keys() <= after.keys()
    lefts = distinct([*recorder.kills, *(left for cuts in recorder.cuts for left in cuts)])
    for left in lefts:
        kept = {path for path in after if left.get(path) in (before.get(path), after[path])}
        assert kept == after.keys(), after.keys() - kept
    for left in lefts[:: max(1, len(lefts) // 4)]:
        write_tree(left, tmp_path / "left")
        done = forked.run(forks, *command, cwd=tmp_path / "left")
        assert not done.returncode, done.stderr
        assert unpacked(tree(tmp_path / "left")) == unpacked(after)
    tally(f"{name}: SIGKILL and power cut before each write", 3 * len(recorder.calls), "files of before or after it")
