"""The pipeline writes the files of `export.embed`; runs in the environment that `make test-beam` makes."""

import os
import pathlib
import subprocess

import pyarrow.parquet
import pytest
from PIL import Image

from export import embed

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHON = pathlib.Path(os.environ.get("CDD_BEAM_PYTHON", ROOT / "build/beam-venv/bin/python"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.is_file(), reason=f"Apache Beam needs its own environment, not at {PYTHON}"),
]


@pytest.fixture
def folder(tmp_path, photos):
    """24 photos of 8 identities; one is damaged."""
    for number, photo in enumerate(photos):
        path = tmp_path / "photos" / f"id{number // 3}" / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).resize((40, 30)).save(path)
    path.write_bytes(b"")
    return tmp_path / "photos"


def run(*flags):
    """Its standard output."""
    command = [PYTHON.absolute(), "-m", "export.embed_beam", *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("embedding_type", ["int8", "float16"])
def test_rows_equal_those_of_embed(tiny_tflite, folder, tmp_path, embedding_type):
    flags = [f"--model={tiny_tflite}", f"--images={folder}", "--rows=8", "--batch_size=4"]
    flags.append(f"--embedding_type={embedding_type}")
    one, many = tmp_path / "one", tmp_path / "many"
    embed.main(embed.command_parser().parse_args([*flags, f"--output={one}"]))
    assert "3 files written, 0 there already; 23 of 24 images embedded" in run(*flags, f"--output={many}")
    # Goes on where a shard of the other program has been.
    (many / "part-00001-of-00003.parquet").unlink()
    assert "1 files written, 2 there already; 23 of 24 images embedded" in run(*flags, f"--output={many}")
    assert sorted(path.name for path in many.iterdir()) == sorted(path.name for path in one.iterdir())
    for path in one.iterdir():
        assert pyarrow.parquet.read_table(path).equals(pyarrow.parquet.read_table(many / path.name), True)
