"""All speeds in one run: input, reset, ranking, steps and surgeries, each beside what bounds it, as Markdown.

    python -m benchmarks.speed --torch_python=build/torch/bin/python

`make benchmark` runs it, TORCH_PYTHON= names the interpreter of the PyTorch row. About ten minutes on two free cores.
`--quick` shows in two minutes that every row can be computed; its figures mean nothing.
"""

import argparse
import os
import pathlib
import subprocess
import sys

# Script -> (title, arguments, arguments that make it quick).
PARTS = {
    "input": ("Input", "--images=400 --rounds=5", "--images=30 --rounds=1"),
    "reset": ("Reset", "--rounds=7", "--queue=96 --rounds=1"),
    "ranking": ("Ranking", "--rounds=3", "--queries=50 --gallery=500 --veri 30 200 --rounds=1"),
    "step": ("Step", "--rounds=7", "--backbone=resnet18 --widths 8 --size=32 --batch=8 --queue=64 --rounds=1"),
    "tracing": ("Surgery", "--surgeries=3", "--size=32 --surgeries=1 --steps=1"),
}
# What decides which kernels a processor gets.
FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16", "amx_int8")


def main(options):
    print(f"{machine()}\n", flush=True)
    failed = []
    for script, (title, usual, quick) in PARTS.items():
        arguments = (quick if options.quick else usual).split()
        if script == "step" and options.torch_python:
            arguments.append(f"--torch_python={options.torch_python}")
        print(f"**{title}.** `python -m benchmarks.{script} {' '.join(arguments)}`\n", flush=True)
        # Hints of TensorFlow about processors and graphs go nowhere.
        quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, "-m", f"benchmarks.{script}", *arguments]
        done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
        print(done.stdout, flush=True)
        if done.returncode:
            failed.append(script)
            print(done.stderr[-2000:], file=sys.stderr, flush=True)
    if failed:
        raise SystemExit(f"error: {', '.join(failed)} failed; see above")


def machine():
    """One line: cores, flags of the processor, and other load."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    known = cpuinfo.read_text().split() if cpuinfo.exists() else []
    flags = ", ".join(flag for flag in FLAGS if flag in known) or "unknown"
    load = f"; load at the start {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{cores} cores, processor flags: {flags}{load}."


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch_python", help="Interpreter with torch and torchvision, for the PyTorch row.")
    parser.add_argument("--quick", action="store_true", help="Tiny sizes.")
    main(parser.parse_args())
