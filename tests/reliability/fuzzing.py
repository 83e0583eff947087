"""Gives invented inputs to one reader and counts what it does: `python -m tests.reliability.fuzzing READER COUNT RUNS`.

Prints JSON: inputs `tried`, `used` and `refused`; `mib`, by which the largest memory grew; `slowest`, the seconds of
one input. Each input must be used, or refused by a `UserError` of one line. Anything else ends the process with a
traceback and the input that hypothesis found to be the smallest; a hang ends it, too. RUNS is `runs.zip` of
tests/data/run_0_1_0.
"""

import contextlib
import faulthandler
import json
import os
import pathlib
import resource
import sys
import tempfile
import time
import zipfile

import hypothesis

from keras_cdd.errors import UserError
from tests.reliability import readers

SECONDS = 60


def fuzz(reader, count, runs):
    """The dict that is printed."""
    with reading(reader, runs) as (inputs, tries):
        given = hypothesis.given(inputs)(tries.once)
        fast = [hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large]
        hypothesis.settings(
            max_examples=count, deadline=None, database=None, derandomize=True, suppress_health_check=fast
        )(given)()
    return tries.found()


@contextlib.contextmanager
def reading(reader, runs):
    """Enters a folder with the kept runs: the strategy of a reader, and its `Tries`."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(runs) as archive:
            archive.extractall(folder)
        os.chdir(folder)
        inputs, read = readers.READERS[reader](pathlib.Path(folder))
        yield inputs, Tries(read)
        os.chdir("/")


class Tries:
    """Gives inputs to a function and counts what it does."""

    def __init__(self, read):
        self.read = read
        self.counts = {"tried": 0, "used": 0, "refused": 0, "slowest": 0.0}
        self.before = _mib()

    def once(self, value):
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        started = time.monotonic()
        try:
            self.read(value)
            self.counts["used"] += 1
        except UserError as error:
            assert "\n" not in " ".join(str(error).split()) and str(error), error
            self.counts["refused"] += 1
        self.counts["tried"] += 1
        self.counts["slowest"] = max(self.counts["slowest"], round(time.monotonic() - started, 2))
        faulthandler.cancel_dump_traceback_later()

    def found(self):
        return {**self.counts, "mib": round(_mib() - self.before)}


def _mib():
    """The largest memory so far of this process or of one that it has waited for."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(who).ru_maxrss for who in whose) / 1024


if __name__ == "__main__":
    print(json.dumps(fuzz(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
