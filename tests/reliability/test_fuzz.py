"""Thousands of invented and damaged inputs are each used, or refused with one line: no crash, hang or traceback.

Each reader runs in a process of its own, since native code may crash; see `tests.reliability.fuzzing`.
"""

import json
import pathlib

import pytest

from tests.reliability.readers import READERS

RUNS = pathlib.Path(__file__).resolve().parents[1] / "data/run_0_1_0/runs.zip"
# The slow readers get fewer.
COUNTS = {
    "command lines": 500,
    "flagfiles": 300,
    "CSV lists": 1500,
    "archives": 600,
    "images": 1500,
    "manifests": 2000,
    "galleries": 2000,
    "run folders": 40,
    "embedding files": 600,
    "weight files": 1500,
    ".keras models": 200,
    "checkpoints": 120,
    ".tflite models": 400,
}


def test_every_reader_has_its_inputs():
    assert COUNTS.keys() == READERS.keys() and sum(COUNTS.values()) > 10_000


@pytest.mark.parametrize("reader", COUNTS)
def test_inputs_are_used_or_refused(run_python, tally, reader):
    done = run_python("-m", "tests.reliability.fuzzing", reader, str(COUNTS[reader]), str(RUNS))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-5000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["mib"] < 1024 and found["slowest"] < 30
    # Hypothesis may run out of different inputs.
    assert found["tried"] >= 0.9 * COUNTS[reader] and found["refused"] > 0.1 * found["tried"] and found["used"]
    how = " (a file that may crash the interpreter is tried in a process of its own)" if "tflite" in reader else ""
    outcome = f"{found['used']:,} used, {found['refused']:,} refused in one line{how}; at most {found['mib']} MiB"
    tally(f"fuzz: {reader}", found["tried"], outcome)
