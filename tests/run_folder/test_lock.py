"""One process at a time has a folder."""

import os
import signal
import subprocess
import sys

import pytest

from keras_cdd.errors import UserError
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


def test_a_released_folder_is_free(tmp_path):
    first = Lock(tmp_path, "a")
    with pytest.raises(UserError, match=f"b is in use by process {os.getpid()}"):
        Lock(tmp_path, "b")
    first.release()
    second = Lock(tmp_path, "c")
    assert (tmp_path / ".lock").read_text() == str(os.getpid())
    second.release()
