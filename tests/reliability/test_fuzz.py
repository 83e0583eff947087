"""Thousands of invented and damaged inputs are each used, or refused with one line: no crash, hang or traceback.

Each reader runs in a process of its own, since native code may crash; see `tests.reliability.fuzzing`.
"""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.reliability.readers import READERS

RUNS = pathlib.Path(__file__).resolve().parents[1] / "data/run_0_1_0/runs.zip"
# Those that read whole files in our own code.
GUIDED = {
    "flagfiles": 1000,
    "CSV lists": 5000,
    "archives": 5000,
    "manifests": 5000,
    "galleries": 5000,
    "weight files": 5000,
}
# The slow readers get fewer.
COUNTS = {
    "command lines": 500,
    "flagfiles": 300,
    "CSV lists": 1500,
    "archives": 600,
    "images": 1500,
    "manifests": 2000,
    "galleries": 2000,
    "run folders": 100,
    "embedding files": 600,
    "weight files": 1500,
    ".keras models": 200,
    "checkpoints": 120,
    ".tflite models": 400,
}


def test_every_reader_has_its_inputs():
    assert COUNTS.keys() == READERS.keys() and sum(COUNTS.values()) > 10_000


def checked(done, count):
    """The dict that a process of `fuzzing` or `guided_fuzzing` printed."""
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-5000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["mib"] < 1024 and found["slowest"] < 30
    # Hypothesis may run out of different inputs.
    assert found["tried"] >= 0.9 * count and found["refused"] > 0.1 * found["tried"] and found["used"]
    return found


@pytest.mark.parametrize("reader", COUNTS)
def test_inputs_are_used_or_refused(run_python, tally, reader):
    count = COUNTS[reader]
    found = checked(run_python("-m", "tests.reliability.fuzzing", reader, str(count), str(RUNS)), count)
    how = " (a file that may crash the interpreter is tried in a process of its own)" if "tflite" in reader else ""
    outcome = f"{found['used']:,} used, {found['refused']:,} refused in one line{how}; at most {found['mib']} MiB"
    tally(f"fuzz: {reader}", found["tried"], outcome)


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
@pytest.mark.parametrize("reader", GUIDED)
def test_inputs_that_reach_new_code_are_used_or_refused(tmp_path, tally, reader):
    count = GUIDED[reader]
    # Not a fork of a process that has the parsers loaded.
    command = [sys.executable, "-m", "tests.reliability.guided_fuzzing", reader, str(count), str(RUNS)]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    found = checked(subprocess.run(command, env=environment, capture_output=True, text=True, check=False), count)
    assert found["kept"] > 1
    outcome = f"{found['used']:,} used, {found['refused']:,} refused in one line; at most {found['mib']} MiB"
    tally(f"fuzz led by coverage: {reader}", found["tried"], f"{found['kept']} reached new code; {outcome}")
