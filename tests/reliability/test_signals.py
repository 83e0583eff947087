"""A run that is killed or stopped at random moments, again and again, ends as the uninterrupted one."""

import concurrent.futures
import contextlib
import os
import random
import signal
import threading
import time

import pytest

from keras_cdd.run_folder.saved import saved_text
from tests import forked
from tests.reliability import tiny_run

MOMENTS = {signal.SIGKILL: 34, signal.SIGTERM: 33, signal.SIGINT: 33}
SECONDS_TO_END = 10
STARTED = """
import os, runpy, sys
with open(sys.argv[1], "w") as file:
    file.write(str(os.getpid()))
_, module, *sys.argv[1:] = sys.argv[2:]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def reference(forks, tmp_path_factory):
    """`(photos, workdir, seconds)` of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("reference")
    photos = tiny_run.write_photos(folder / "photos")
    started = time.monotonic()
    done = forked.run(forks, *tiny_run.command(photos, folder / "run"))
    assert not done.returncode, done.stderr
    return photos, folder / "run", time.monotonic() - started


class Interrupted:
    """Starts a run and ends it at a moment.

    Args:
        forks: socket of the `tests.forked` server.
        folder: of the run, and of notes about it.
        photos: its images.
    """

    def __init__(self, forks, folder, photos):
        self.forks, self.workdir, self.note = forks, folder / "run", folder / "process"
        folder.mkdir()
        self.command = ("-c", STARTED, str(self.note), *tiny_run.command(photos, self.workdir))

    def __call__(self, number, after):
        """Sends a signal after some seconds; returns whether it came before the end, and checks how the run ended."""
        done = []
        self.note.unlink(missing_ok=True)
        process = threading.Thread(target=lambda: done.append(forked.run(self.forks, *self.command)))
        process.start()
        while not (self.note.exists() and self.note.read_text()):
            time.sleep(0.01)
        own = self.note.read_text()
        process.join(after)
        # It has its workdir from its first step on: before that it has not begun.
        begun = self._holder() == own
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(own), number)
        process.join(SECONDS_TO_END if number != signal.SIGKILL else 60)
        if late := process.is_alive():
            os.kill(int(own), signal.SIGKILL)
            process.join()
        (done,) = done
        assert not late, f"it still ran {SECONDS_TO_END} seconds after signal {number}: {done.stdout}{done.stderr}"
        if done.returncode == 0:
            return False
        if done.returncode not in (-number, 128 + number):
            pytest.fail(f"ended with {done.returncode} after signal {number}:\n{done.stderr}")
        if begun and number != signal.SIGKILL and self._summary_missing():
            said = done.stderr.splitlines()[-1]
            saved = saved_text(self.workdir)
            expected = f"{self.workdir} has {saved}: the same command continues" if saved else "Nothing is saved yet."
            assert said.startswith(f"stopped. {expected}") and "Traceback" not in done.stderr, done.stderr
        return True

    def _holder(self):
        with contextlib.suppress(OSError):
            return (self.workdir / ".lock").read_text()

    def _summary_missing(self):
        return not (self.workdir / "summary.json").exists()


@pytest.mark.parametrize("number", MOMENTS, ids=lambda number: number.name)
def test_at_random_moments(number, forks, reference, tmp_path, tally):
    photos, expected, seconds = reference

    def chain(seed, moments):
        """Interrupts runs until it has happened so often; returns how many were whole by then."""
        moment, count, ended = random.Random(seed), 0, 0
        run = Interrupted(forks, tmp_path / f"{seed}", photos)
        while count < moments:
            if run(number, moment.uniform(0, 0.6 * seconds)):
                count += 1
            else:
                tiny_run.assert_same_end(run.workdir, expected)
                ended += 1
                run = Interrupted(forks, tmp_path / f"{seed}_{ended}", photos)
        done = forked.run(forks, *run.command)
        assert not done.returncode, done.stderr
        tiny_run.assert_same_end(run.workdir, expected)
        return ended + 1

    half = MOMENTS[number] // 2
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        runs = sum(threads.map(chain, (int(number), 100 + number), (half, MOMENTS[number] - half)))
    how = "" if number == signal.SIGKILL else f" within {SECONDS_TO_END} s, what is saved named;"
    tally(
        f"training: {number.name} at random moments",
        MOMENTS[number],
        f"ended{how} {runs} runs the same to the last bit",
    )
