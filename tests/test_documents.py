"""Runs every command that the documents show, except those listed below with who runs them or what they need."""

import functools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

from keras_cdd.data import write_synthetic

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENTS = (
    "README.md",
    "docs/results.md",
    "docs/scale.md",
    "BUILD.md",
    "CONTRIBUTING.md",
    "docs/method.md",
    "docs/coming_from.md",
)
STARTS = (
    "python -m ",
    "make ",
    "sudo make ",
    "pip install ",
    "cdd-",
    "tensorboard --",
    "gradle ",
    "adb ",
    "CDD_GOLDEN_DIR=",
)

# Beginning of a command -> who runs it, or what it needs that a test does not have.
ELSEWHERE = {
    "make quickstart": "test_android.py, on a fresh checkout",
    "make photos": "a quarter of an hour, a download; its steps are those of make quickstart",
    "make test-applications": "a quarter of an hour; its tests are those of make test, on larger networks",
    "make test-reliability": "a quarter of an hour; its tests are in tests/reliability",
    "make test": "this run",
    "make lint": "part of make test",
    "make lock": "a network; test_packaging.py checks its file",
    "make audit": "a network",
    "make sbom": "half a minute for a list of packages",
    "make benchmark": "ten minutes; tests/benchmarks runs its parts",
    "python -m benchmarks.reset": "part of make benchmark",
    "python -m benchmarks.ranking": "part of make benchmark",
    "python -m benchmarks.step": "part of make benchmark",
    "python -m benchmarks.tracing": "part of make benchmark",
    "python -m benchmarks.input": "part of make benchmark",
    "python -m benchmarks.workers": "one core each for two processes; tests/benchmarks runs it at a tiny size",
    "python -m benchmarks.gpu": "a GPU; tests/benchmarks runs it at a tiny size",
    "python -m benchmarks.scale": "minutes; tests/benchmarks runs it at a tiny size",
    "make test-beam": "an environment of its own, a download of half a gigabyte",
    "make test-databases": "an environment of its own, a download of half a gigabyte",
    "make check-mediapipe": "an environment of its own, a download of half a gigabyte",
    "make check-arm": "an emulator and Debian packages, a download",
    "sudo make android-deps": "root; .ci/run",
    "make android": "test_android.py, which runs its two parts",
    "make android-test": "test_android.py",
    "make android-search": "test_android.py",
    "pip install .": "test_packaging.py, which installs the wheel",
    "pip install faiss-cpu": "a download",
    "pip install pyarrow": "a download",
    "cdd-": "test_packaging.py",
    "tensorboard": "serves until it is stopped",
    "gradle": "an Android SDK",
    "adb": "a phone",
    "python -m pytest": "this run",
    "CDD_GOLDEN_DIR=DIR": "another set of golden numbers",
    "python -m examples.vector_database": "test_vector_database.py",
    "python -m export.embed_beam": "test_embed_beam.py",
    "python -m examples.": "test_examples.py",
    "python -m benchmarks.search": "faiss",
    "python -m benchmarks.deployed --geometry": "half a minute for one number; its parts are those of --workdir",
}
NEEDS_DATA = {
    "../shared/data": "the shared data sets",
    "--data_dir=VeRi": "a data set that its authors give",
    "--pretrained=imagenet": "a download",
}

# Of the archives of a shared data set, endings of the files that are used: a tenth of it.
PARTS = {"omniglot": ("_01.png", "_05.png"), "grocery": ("_001.jpg", ".txt", ".csv")}

# Additional flags that make a documented command quick; later flags win.
TINY = (
    "--width=8 --embedding_size=16 --image_size=16,16 --stem=small --backbone=tiny --identities_per_batch=64 "
    "--teacher_epochs=1 --epochs=2 --learning_rate=0.01 --warmup_epochs=0 --noevaluate_teacher"
)
SHORT = {
    "keras_cdd.train": f"{TINY} --target_macs=0.7 --num_cuts=1 --cut_start=0 --cut_end=1",
    "keras_cdd.evaluate": "",
    "keras_cdd.report": "",
    "export.to_tflite": "--max_map_drop=100 --qat_epochs=1",
    "export.build_gallery": "",
    "export.embed": "",
    "export.search": "",
    "export.android_assets": "--android_dir=none",
    "benchmarks.deployed": "--rounds=1",
    "benchmarks.students": "--budgets=0.7 --ways=shrunk",
    "benchmarks.made_embeddings": "--images=2000",
    "benchmarks.shrinking_epochs": "--steps=1 --rounds=1 --batch_size=8",
}
# These folders are the same run in the documents' commands, made by the command that names the first of them.
FOLDERS = ("runs/mine", "runs/x", "runs/quickstart", "runs/photos")
# These start without TensorFlow; the others are forks of a process that has loaded it.
LIGHT = {
    "export.build_gallery",
    "export.embed",
    "export.search",
    "export.android_assets",
    "benchmarks.made_embeddings",
}
# The first run is traced as users' runs are, and its BatchNorms see more batches: its model meets photos of all kinds.
FIRST_RUN = ["--identities_per_batch=16"]
# Else a few steps of tiny networks take less time than tracing their graphs.
EAGER = {"keras_cdd.train", "benchmarks.students", "benchmarks.shrinking_epochs"}
EAGERLY = """
import runpy, sys
import tensorflow as tf
tf.config.run_functions_eagerly(True)
sys.executable = sys.argv.pop(1)
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""
# Replaces `python` while the commands of the documents run.
PYTHON = """#!{python}
import os, sys
sys.path[0] = {root!r}
from tests import forked
short = {short!r}
module = sys.argv[2]
if module not in short:
    sys.exit(f"error: {{module}} has no place in tests/test_documents.py")
arguments = [*sys.argv[1:], *short[module].split()]
if module in {light!r}:
    os.execv({python!r}, [{python!r}, *arguments])
if "--workdir={first}" in arguments and module == "keras_cdd.train":
    arguments += {first_run!r}
elif module in {eager!r}:
    arguments[0:1] = ["-c", {eagerly!r}, __file__]
sys.exit(forked.ask({forks!r}, arguments))
"""


def commands():
    """All commands of the documents, without repetitions, in order; a code block has one per line."""
    found = []
    for name in DOCUMENTS:
        text = (ROOT / name).read_text()
        for block, code in re.findall(r"```\w*\n(.*?)```|`([^`]+)`", text, re.DOTALL):
            lines = re.sub(r"\\\n\s*", "", block).splitlines() if block else [" ".join(code.split())]
            found += [line.split("  #")[0].strip() for line in lines]
        found += [line.strip() for line in text.splitlines() if line.startswith("    python -m")]
    return list(dict.fromkeys(line for line in found if line.startswith(STARTS)))


def _begins(command, start):
    return re.match(re.escape(start) + (r"(?![\w-])" if start[-1].isalnum() else ""), command)


def _distinct(commands):
    """The first of those that differ only in which of `FOLDERS` they name, or in flags that `SHORT` replaces."""
    found = {}
    for command in commands:
        module = re.match(r"python -m (\S+)", command)
        replaced = re.findall(r"--\w+=", SHORT.get(module[1], "")) if module else []
        same = re.sub("|".join([*FOLDERS, *(rf"{flag}\S*" for flag in replaced)]), "", command)
        found.setdefault(" ".join(same.split()), command)
    return list(found.values())


RUN = _distinct([command for command in commands() if not any(_begins(command, start) for start in ELSEWHERE)])
(FIRST,) = (command for command in RUN if "keras_cdd.train" in command and f"--workdir={FOLDERS[0]}" in command)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory, forks):
    """A folder that looks like the repository's root, with a short run, photos and a CSV list in it."""
    folder = tmp_path_factory.mktemp("documents") / "checkout"
    folder.mkdir()
    for name in ("keras_cdd", "export", "benchmarks", "examples"):
        (folder / name).symlink_to(ROOT / name)
    if (ROOT.parent / "shared").is_dir():
        _share(ROOT.parent / "shared", folder.parent / "shared")
    python = folder / "bin" / "python"
    python.parent.mkdir()
    places = {"python": sys.executable, "root": str(ROOT), "forks": str(forks), "first": FOLDERS[0]}
    python.write_text(
        PYTHON.format(**places, short=SHORT, light=LIGHT, eager=EAGER, eagerly=EAGERLY, first_run=FIRST_RUN)
    )
    python.chmod(0o755)
    photos = write_synthetic(folder / "photos", train_identities=64, train_images=8, test_identities=8, test_images=4)
    records = (*photos.train, *photos.query, *photos.gallery)
    rows = [f"{os.path.relpath(r.path, folder)},{r.identity},{r.camera},{r.split}" for r in records]
    (folder / "split.csv").write_text("\n".join(["path,identity,camera,split", *rows]) + "\n")
    shutil.copy(photos.query[0].path, folder / "photo.jpg")
    run_there(folder, FIRST)
    for name in FOLDERS[1:]:
        (folder / name).symlink_to(folder / FOLDERS[0])
    return folder


def _share(shared, place):
    """The shared data sets: Omniglot with one query and one gallery drawing of each character, fewer photos."""
    for source in (shared / "data").iterdir():
        if source.name not in PARTS:
            (place / "data").mkdir(parents=True, exist_ok=True)
            (place / "data" / source.name).symlink_to(source)
            continue
        (place / "data" / source.name).mkdir(parents=True)
        for path in source.glob("*.zip"):
            with zipfile.ZipFile(path) as whole, zipfile.ZipFile(place / "data" / source.name / path.name, "w") as part:
                for name in whole.namelist():
                    if name.endswith(PARTS[source.name]):
                        part.writestr(name, whole.read(name))


@functools.cache
def run_there(folder, command):
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euc", command], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_nothing_is_excused_that_is_not_shown():
    shown = commands()
    assert all(any(_begins(command, start) for command in shown) for start in ELSEWHERE)


@pytest.mark.parametrize("command", RUN)
def test_a_command_of_the_documents(command, request):
    for mark, need in NEEDS_DATA.items():
        if mark in command and not (mark.startswith("..") and (ROOT / mark).is_dir()):
            pytest.skip(f"{need}: not here")
    run_there(request.getfixturevalue("checkout"), command)
