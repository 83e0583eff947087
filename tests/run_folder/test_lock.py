"""One process at a time has a folder."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from keras_cdd.errors import UserError
from keras_cdd.run_folder import lock
from keras_cdd.run_folder.lock import Lock

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no locks here")
HOLDING = """
import sys, time
from keras_cdd.run_folder.lock import Lock
lock = Lock(sys.argv[1], "the folder")
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLDING, tmp_path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        for _ in range(2):
            with pytest.raises(UserError, match=f"runs/mine is in use by process {holder.pid}"):
                Lock(tmp_path, "runs/mine")
        holder.send_signal(signal.SIGKILL)
    Lock(tmp_path, "runs/mine").release()


def test_a_file_is_held_beside_it_and_nothing_stays(tmp_path):
    with Lock(tmp_path / "g.sqlite", "gallery g"):
        assert [path.name for path in tmp_path.iterdir()] == [".g.sqlite.lock"]
        Lock(tmp_path / "h.sqlite", "gallery h").release()
        with pytest.raises(UserError, match=f"gallery g is in use by process {os.getpid()}"):
            Lock(tmp_path / "g.sqlite", "gallery g")
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="no folder for gallery g"):
        Lock(tmp_path / "nowhere" / "g.sqlite", "gallery g")


def test_who_waited_for_a_lock_that_was_removed_takes_the_new_one(tmp_path, monkeypatch):
    flock, removed = lock.fcntl.flock, []

    def late(file, operation):
        flock(file, operation)
        if not removed:
            removed.append((tmp_path / ".lock").unlink())

    monkeypatch.setattr(lock.fcntl, "flock", late)
    first = Lock(tmp_path, "a")
    with pytest.raises(UserError, match="in use"):
        Lock(tmp_path, "b")
    first.release()


def test_a_released_folder_is_free(tmp_path):
    first = Lock(tmp_path, "a")
    with pytest.raises(UserError, match=f"b is in use by process {os.getpid()}"):
        Lock(tmp_path, "b")
    first.release()
    second = Lock(tmp_path, "c")
    assert (tmp_path / ".lock").read_text() == str(os.getpid())
    second.release()


def refusing(code):
    def flock(file, operation):
        raise OSError(code, os.strerror(code))

    return flock


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks_is_used_without_one(tmp_path, monkeypatch, capsys, code):
    monkeypatch.setattr(lock.fcntl, "flock", refusing(code))
    Lock(tmp_path, "--workdir mine").release()
    said = capsys.readouterr().out
    assert said.startswith(f"--workdir mine is not locked ({os.strerror(code)})") and said.count("\n") == 1


def test_other_errors_of_a_lock_are_raised(tmp_path, monkeypatch):
    monkeypatch.setattr(lock.fcntl, "flock", refusing(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        Lock(tmp_path, "--workdir mine")
