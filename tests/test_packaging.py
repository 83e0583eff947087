"""What is installed is what is here."""

import importlib
import pathlib
import tomllib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PLACES = PROJECT["tool"]["setuptools"]["package-dir"]


def test_every_package_is_listed():
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in ROOT.glob("keras_cdd/**/__init__.py")}
    assert found | PLACES.keys() == set(PROJECT["tool"]["setuptools"]["packages"])


def test_requirements_pin_every_dependency():
    pinned = {line.split("==")[0] for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line}
    extras = PROJECT["project"]["optional-dependencies"].values()
    wanted = PROJECT["project"]["dependencies"] + [name for extra in extras for name in extra]
    assert {name.split(">")[0] for name in wanted} <= pinned


@pytest.mark.parametrize("command", PROJECT["project"]["scripts"])
def test_commands_exist(command):
    module, function = PROJECT["project"]["scripts"][command].split(":")
    package, _, rest = module.partition(".")
    assert callable(getattr(importlib.import_module(f"{PLACES.get(package, package)}.{rest}"), function))


def test_the_version_has_its_place_in_the_changes():
    version = PROJECT["project"]["version"]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text()
