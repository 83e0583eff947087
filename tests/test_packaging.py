"""The installed package equals the source."""

import fnmatch
import importlib
import inspect
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib
import typing
import zipfile

import pytest

import keras_cdd
from keras_cdd.commands.installed import with_own_flagfiles

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PLACES = PROJECT["tool"]["setuptools"]["package-dir"]

# Loading TensorFlow takes longer than all commands, so one process loads it and forks off each of them.
INSTALLED = """
import importlib, json, os, pkgutil, runpy, sys, tempfile
import keras_cdd, keras_cdd_export
results = []
for command in json.loads(sys.argv[1]):
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if not child:
            os.dup2(said.fileno(), 1), os.dup2(said.fileno(), 2)
            sys.argv = command
            runpy.run_path(command[0], run_name="__main__")
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        results.append([status, said.seek(0) or said.read().decode()])
packages = {package.__name__: list(package.__path__) for package in (keras_cdd, keras_cdd_export)}
for name, path in packages.items():
    for module in pkgutil.walk_packages(path, name + "."):
        importlib.import_module(module.name)
print(json.dumps([packages, results]))
"""


def test_every_package_is_listed():
    folders = {"keras_cdd": "keras_cdd", **PLACES}
    found = {
        ".".join([name, *path.parent.relative_to(ROOT / folder).parts])
        for name, folder in folders.items()
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert found == set(PROJECT["tool"]["setuptools"]["packages"])


def test_requirements_pin_every_dependency():
    pinned = {line.split("==")[0] for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line}
    extras = PROJECT["project"]["optional-dependencies"].values()
    wanted = PROJECT["project"]["dependencies"] + [name for extra in extras for name in extra]
    assert {name.split(">")[0] for name in wanted} <= pinned


def test_the_lock_has_every_requirement_with_hashes():
    """`make lock` was run after the last change; pip takes nothing without a hash."""
    wanted = re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    text = (ROOT / "requirements.lock").read_text()
    locked = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", text, re.MULTILINE))
    assert len(wanted) > 30 and {name.replace(".", "-"): version for name, version in wanted}.items() <= locked.items()
    assert all("--hash=sha256:" in part for part in re.split(r"\n(?=\S)", text.strip()))


@pytest.mark.parametrize("command", PROJECT["project"]["scripts"])
def test_commands_exist(command):
    module, function = PROJECT["project"]["scripts"][command].split(":")
    package, _, rest = module.partition(".")
    assert callable(getattr(importlib.import_module(f"{PLACES.get(package, package)}.{rest}"), function))


def test_the_version_has_its_place_in_the_changes():
    version = PROJECT["project"]["version"]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text()


def public_functions():
    """(name, function) of all that our package defines behind its public names: functions, constructors, methods."""
    for name in keras_cdd.__all__:
        thing = getattr(keras_cdd, name)
        if inspect.isfunction(thing):
            yield name, thing
            continue
        for kind in thing.__mro__:
            for method, value in vars(kind).items() if kind.__module__.startswith("keras_cdd.") else ():
                function = value.fget if isinstance(value, property) else value
                if inspect.isfunction(function) and (method == "__init__" or not method.startswith("_")):
                    yield f"{name}.{method}", function


def test_the_public_surface_is_annotated():
    lacking = [
        (name, *missing)
        for name, function in public_functions()
        if (missing := {*inspect.signature(function).parameters, "return"} - {"self", *typing.get_type_hints(function)})
    ]
    assert not lacking


def test_mypy_checks_the_public_surface():
    (strict,) = [part for part in PROJECT["tool"]["mypy"]["overrides"] if part.get("disallow_untyped_defs")]
    homes = {inspect.getmodule(getattr(keras_cdd, name)).__name__ for name in keras_cdd.__all__}
    homes |= {inspect.getmodule(function).__name__ for _, function in public_functions()}
    assert [home for home in homes if not any(fnmatch.fnmatch(home, known) for known in strict["module"])] == []


def test_the_packages_own_flagfiles_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ["cdd-train", "--flagfile=keras_cdd/configs/grocery.flags", "--flagfile=grocery.flags", "--width=4"]
    found = with_own_flagfiles(given)
    assert found[1] == f"--flagfile={ROOT / 'keras_cdd/configs/grocery.flags'}"
    assert [found[0], *found[2:]] == [given[0], *given[2:]]
    own = tmp_path / "keras_cdd/configs/grocery.flags"
    own.parent.mkdir(parents=True)
    own.touch()
    assert with_own_flagfiles(given) == given


def files_below(folder):
    """Relative paths of the folder's files, without what Python and desktops leave there."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [path for path in found if not any(part.startswith((".", "__pycache__")) for part in path.parts)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy: a build leaves folders that the next one would take files from."""
    place = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place)
    for name in ("keras_cdd", "export"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip("wheel", "--no-build-isolation", f"--wheel-dir={place}", place)
    (made,) = place.glob("*.whl")
    return made


def pip(command, *arguments):
    always = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps")
    subprocess.run([sys.executable, "-m", "pip", command, *always, *map(str, arguments)], check=True)


@pytest.mark.slow
def test_the_wheel_holds_what_is_here(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    folders = {"keras_cdd": "keras_cdd", **PLACES}
    assert names == {
        f"{name}/{path.as_posix()}" for name, place in folders.items() for path in files_below(ROOT / place)
    }
    assert {"keras_cdd/py.typed", "keras_cdd/configs/quickstart.flags", "keras_cdd/report/page.html.jinja"} <= names


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the commands are forked off one process")
def test_the_installed_commands_work_from_anywhere(wheel, tmp_path):
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip("install", "--no-compile", f"--target={site}", wheel)
    names = list(PROJECT["project"]["scripts"])
    commands = [[str(site / "bin" / name), "--help"] for name in names]
    # The last one finds its flagfile and then refuses the wrong flag.
    commands += [[commands[0][0], "--flagfile=keras_cdd/configs/quickstart.flags", "--epochs=0"]]
    done = subprocess.run(
        [sys.executable, "-c", INSTALLED, json.dumps(commands)],
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=elsewhere,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    packages, results = json.loads(done.stdout.splitlines()[-1])
    assert packages == {name: [str(site / name)] for name in ("keras_cdd", "keras_cdd_export")}
    for name, (status, said) in zip(names, results, strict=False):
        assert status == 0 and f"{name} --" in said and "python -m" not in said, said
    assert results[-1][0] == 1 and "error: --epochs must be positive" in results[-1][1]
