"""Every script of `make benchmark`, that for GPUs and that of scale, at sizes whose figures mean nothing."""

import argparse
import re

import pytest

from benchmarks.growth import POWER, Growth
from benchmarks.speed import PARTS, machine
from benchmarks.step import TorchStep
from benchmarks.turns import in_turns, table

GPU = "--backbones resnet18 --width=4 --size=32 --batch=8 --steps=1 --queue=16 --precisions none --compiled 0"
RUNS = {script: quick for script, (_, _, quick) in PARTS.items()} | {"gpu": GPU, "scale": "--quick --rounds=1"}
# A step of a tiny network takes less time than tracing it.
EAGERLY = """
import runpy, sys
import tensorflow as tf
tf.config.run_functions_eagerly(True)
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("script", RUNS)
def test_a_script_prints_its_table(script, run_python):
    done = run_python("-c", EAGERLY, f"benchmarks.{script}", *RUNS[script].split())
    assert not done.returncode, done.stderr[-3000:]
    assert done.stdout.count("\n| ") > 2 and "nan" not in done.stdout


@pytest.mark.slow
def test_workers_are_compared(run_python, forking_python):
    sizes = "--backbone=tiny --width=4 --size=16 --batch=8 --steps=1 --rounds=1 --workers 2"
    done = run_python("-m", "benchmarks.workers", f"--python={forking_python}", *sizes.split())
    assert not done.returncode, done.stderr[-3000:]
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("| 2 | 8 | 4 | ")]
    assert re.search(r"\d+ % \|$", row)


def test_rows_are_compared_by_their_seconds():
    calls = []
    tasks = {name: (lambda name=name: calls.append(name), 1) for name in ("bare", "ours")}
    assert in_turns(tasks, 2).keys() == tasks.keys() and calls == ["bare", "ours"] * 3
    *_, bare, ours = table({"bare": (0.5, 1.0), "ours": (1.0, 3.0)}, {"ours": "bare"}).splitlines()
    assert bare == "| bare | 2 | 1000.00 |  |  |  |" and ours == "| ours | 1 | 3000.00 | 2.00 | 3.00 | bare |"
    assert "processor flags" in machine()


def test_growth_finds_the_line_and_the_power_law():
    growth = Growth([1, 2, 3, 4], "photos", (10, None, 100))
    assert growth.row("a", "B", [1239, 1244, 1249, 1254]) == (
        "| a | 1, 2, 3, 4 photos | 1.24 kB, 1.24 kB, 1.25 kB, 1.25 kB | 1.23 kB + 5 B n | 1.28 kB |  | 1.73 kB |"
    )
    assert growth.row("b", "s", [0.5, 2, 4.5, 8], POWER).endswith("| 500 ms n^2.00 | 50 s |  | 1.39 h |")
    # What takes nothing at the beginning, whatever the noise says.
    assert growth.row("c", "s", [1, 2.2, 3.3, 4.4]).endswith("| 1.08 s n | 10.8 s |  | 108 s |")


def test_without_torch_there_is_one_line():
    options = argparse.Namespace(torch_python="false", backbone="resnet50", size=32, batch=4)
    with pytest.raises(SystemExit, match="error: false cannot run .*; install torch there"):
        TorchStep.of(options)
