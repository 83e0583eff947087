"""Vector databases find what exact search finds; runs in the environment that `make test-databases` makes."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTHON = pathlib.Path(os.environ.get("CDD_DATABASES_PYTHON", ROOT / "build/databases-venv/bin/python"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.is_file(), reason=f"Databases need their own environment, not at {PYTHON}"),
]


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory):
    """3,000 made embeddings."""
    folder = tmp_path_factory.mktemp("made") / "embeddings"
    flags = ["--images=3000", "--embedding_size=32", f"--output={folder}"]
    subprocess.run([sys.executable, "-m", "benchmarks.made_embeddings", *flags], cwd=ROOT, check=True)
    return folder


@pytest.mark.parametrize("engine", ["pgvector", "qdrant", "faiss"])
def test_its_candidates_hold_the_best(embeddings, engine):
    command = [PYTHON.absolute(), "-m", "examples.vector_database", embeddings, engine]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{engine}: 3,000 x 32" in done.stdout
    alone, again = re.search(r"recall@10: ([\d.]+); its 40 candidates ranked again: ([\d.]+)", done.stdout).groups()
    assert float(alone) > 0.9 and float(again) > 0.98
