"""The command redraws the page of any run, and reports what it cannot draw."""

import re
import xml.etree.ElementTree

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def report(run_python):
    return lambda *flags: run_python("-m", "keras_cdd.report", *flags)


def test_the_command_draws_a_run(report, running):
    done = report(f"--workdir={running}")
    assert done.returncode == 0 and done.stdout.strip() == f"report: {running / 'report.html'}"
    assert (running / "report.html").is_file()


def test_charts_become_files_that_need_no_page(report, running, tmp_path):
    done = report(f"--workdir={running}", f"--charts={tmp_path / 'charts'}")
    assert done.returncode == 0
    drawings = {path.name: xml.etree.ElementTree.parse(path) for path in (tmp_path / "charts").iterdir()}
    assert len(drawings) == 7 and {"channels_kept.svg", "loss.svg"} <= drawings.keys()
    for path in (tmp_path / "charts").iterdir():
        used, defined = (set(re.findall(form, path.read_text())) for form in (r"var\((--\w+)\)", r"(--\w+):"))
        assert used and used <= defined


@pytest.mark.parametrize("flags", [[], ["--workdir=nowhere"]])
def test_a_wrong_workdir_is_one_line(report, flags):
    done = report(*flags)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "error: --workdir" in done.stderr.splitlines()[-1]


def test_examples_need_a_finished_run(report, running):
    done = report(f"--workdir={running}", "--examples")
    assert done.returncode == 1 and "is not finished (teacher.keras, student.keras" in done.stderr
    assert not (running / "report.html").exists()
