"""Gives invented inputs to one reader and counts what it does: `python -m tests.reliability.fuzzing READER COUNT RUNS`.

Prints JSON: inputs `tried`, `used` and `refused`; `mib`, by which the largest memory grew; `slowest`, the seconds of
one input. Each input must be used, or refused by a `UserError` of one line. Anything else ends the process with a
traceback and the input that hypothesis found to be the smallest; a hang ends it, too. RUNS is `runs.zip` of
tests/data/run_0_1_0.
"""

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
    counts = {"tried": 0, "used": 0, "refused": 0, "slowest": 0.0}
    before = _mib()

    def once(value):
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        started = time.monotonic()
        try:
            read(value)
            counts["used"] += 1
        except UserError as error:
            assert "\n" not in " ".join(str(error).split()) and str(error), error
            counts["refused"] += 1
        counts["tried"] += 1
        counts["slowest"] = max(counts["slowest"], round(time.monotonic() - started, 2))

    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(runs) as archive:
            archive.extractall(folder)
        os.chdir(folder)
        inputs, read = readers.READERS[reader](pathlib.Path(folder))
        given = hypothesis.given(inputs)(once)
        fast = [hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large]
        hypothesis.settings(
            max_examples=count, deadline=None, database=None, derandomize=True, suppress_health_check=fast
        )(given)()
        os.chdir("/")
    faulthandler.cancel_dump_traceback_later()
    return {**counts, "mib": round(_mib() - before)}


def _mib():
    """The largest memory so far of this process or of one that it has waited for."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(who).ru_maxrss for who in whose) / 1024


if __name__ == "__main__":
    print(json.dumps(fuzz(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
