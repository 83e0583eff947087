"""Fixtures for all tests: golden numbers, optional shared data, and commands in forked processes."""

import collections
import contextlib
import json
import os
import pathlib
import sys

import numpy as np
import pytest

pytest.register_assert_rewrite("tests.experiment.same_run", "tests.reliability.tiny_run")

from tests import forked  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN_DIR = pathlib.Path(os.environ.get("CDD_GOLDEN_DIR", HERE / "golden"))
SHARED_DIR = pathlib.Path(os.environ.get("CDD_SHARED_DIR", HERE.parent.parent / "shared"))

# The files that take longest start first, so that all processes end together.
LONGEST = (
    "reliability/test_signals.py",
    "reliability/test_run_kills.py",
    "reliability/test_bad_luck.py",
    "reliability/test_long.py",
    "reliability/test_two_at_once.py",
    "reliability/test_gallery.py",
    "test_android.py",
    "test_documents.py",
    "test_examples.py",
    "experiment/test_experiment.py",
    "experiment/test_fine_tuning.py",
    "experiment/test_residual_runs.py",
    "export/conversion/test_qat.py",
    "surgery/test_stock_surgery.py",
    "surgery/test_gated_surgery.py",
    "surgery/test_surgery.py",
    "distill/test_distiller.py",
    "experiment/test_any_network.py",
    "surgery/test_applications.py",
    "surgery/test_outer_widths.py",
    "commands/test_start.py",
    "commands/test_errors.py",
    "export/conversion/test_quantize.py",
    "surgery/test_keras_hub.py",
    "evaluation/test_golden_teacher.py",
    "models/test_cost.py",
    "models/test_pretrained.py",
    "experiment/test_workers.py",
    "experiment/test_strategies.py",
    "experiment/test_graph_run.py",
    "test_packaging.py",
    "distill/test_strategies.py",
    "models/sites/test_sites.py",
    "commands/test_own_teacher.py",
)

FORKS = pytest.StashKey[str]()
FORKING = """#!{python}
import sys
sys.path[0] = {root!r}
from tests import forked
sys.exit(forked.ask({forks!r}, sys.argv[1:]))
"""


def pytest_collection_modifyitems(config, items):
    for marker in ("applications", "reliability"):
        if marker not in config.option.markexpr:
            large = [item for item in items if item.get_closest_marker(marker)]
            items[:] = [item for item in items if item not in large]
            config.hook.pytest_deselected(items=large)
    places = {HERE / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_terminal_summary(terminalreporter):
    """The table of `make test-reliability`: what tests tell by `tally`, and how many of the others passed, by file."""
    rows = collections.Counter()
    for report in terminalreporter.stats.get("passed", ()):
        told = [value for name, value in report.user_properties if name == "tally"]
        for what, count, outcome in told:
            rows[what, outcome] += count
        if not told:
            rows[f"tests of {report.fspath}", "passed"] += 1
    if any(outcome != "passed" for _, outcome in rows):
        terminalreporter.section("reliability")
        for (what, outcome), count in sorted(rows.items()):
            terminalreporter.write_line(f"| {what} | {count:,} | {outcome} |")


def _first_existing(name):
    for folder in (GOLDEN_DIR, SHARED_DIR / "golden"):
        if (folder / name).is_file():
            return folder / name
    pytest.skip(f"golden file {name} is absent from {GOLDEN_DIR.name}/ and from the shared golden folder")


@pytest.fixture
def golden():
    """`golden("losses.npz")` gives the file's arrays as a dict (or the parsed JSON); skips when it is absent."""

    def load(name):
        path = _first_existing(name)
        if path.suffix == ".json":
            return json.loads(path.read_text())
        with np.load(path) as archive:
            return {key: archive[key] for key in archive.files}

    return load


@pytest.fixture
def shared_dir():
    """The folder with the real data sets; skips if it is absent."""
    if not SHARED_DIR.is_dir():
        pytest.skip("the shared data folder is absent")
    return SHARED_DIR


@pytest.fixture(scope="module")
def eager():
    """Runs eagerly: a dozen steps of a tiny network take less time than tracing their graphs."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """All processes of pytest-xdist share one `tests.forked` server."""
    if not forked.POSSIBLE:
        return
    if FORKS not in node.config.stash:
        served = contextlib.ExitStack()
        node.config.stash[FORKS] = served.enter_context(forked.served())
        node.config.add_cleanup(served.close)
    node.workerinput["forks"] = node.config.stash[FORKS]


@pytest.fixture(scope="session")
def forks(request):
    """The socket of a `tests.forked` server; it ends with the session."""
    if not forked.POSSIBLE:
        pytest.skip("commands cannot be forked off one process here")
    shared = getattr(request.config, "workerinput", {}).get("forks")
    with contextlib.nullcontext(shared) if shared else forked.served() as place:
        forked.wait_for(place)
        yield pathlib.Path(place)


@pytest.fixture(scope="session")
def run_python(forks):
    """`run_python("-m", module, ...)`: `subprocess.run` of Python with captured text, in a fork that has TensorFlow."""
    return lambda *arguments, **options: forked.run(forks, *arguments, **options)


@pytest.fixture(scope="session")
def forking_python(forks, tmp_path_factory):
    """The path of a program that takes `-m module ...` or `-c script ...` as Python does; it runs them in a fork."""
    program = tmp_path_factory.mktemp("bin") / "python"
    program.write_text(FORKING.format(python=sys.executable, root=str(HERE.parent), forks=str(forks)))
    program.chmod(0o755)
    return program
