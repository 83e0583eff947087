"""A file of embeddings is whole or absent after a kill and a power cut before any write, and a repeat ends the same."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from export.bulk.part_folder import PartFolder, existing
from export.conversion.integer_form import integer_form
from export.conversion.quantize import to_tflite
from export.embed import command_parser, main
from tests.export.conftest import tiny_network
from tests.reliability.disk import Recorder, write_tree
from tests.reliability.system_calls import require_watching, watched

IMAGES = 24


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model, and 24 photos of which one is damaged."""
    place = tmp_path_factory.mktemp("embeddings")
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, 16, 16, 3), np.uint8)
    model = to_tflite(integer_form(tiny_network()), "int8", "uint8", pixels)
    (place / "model.tflite").write_bytes(model)
    # Vouches for the model: otherwise it is tried apart first.
    (place / "model.json").write_text(json.dumps({"sha256": hashlib.sha256(model).hexdigest()}))
    (place / "photos").mkdir()
    for number, photo in enumerate(pixels):
        Image.fromarray(photo).save(place / "photos" / f"{number:02}.png")
    (place / "photos" / "05.png").write_bytes(b"")
    return place


def flags(place, output):
    return [
        f"--model={place}/model.tflite",
        f"--images={place}/photos",
        f"--output={output}",
        "--rows=8",
        "--batch_size=4",
    ]


def content(folder):
    """Name of every file -> its table."""
    # Not before `require_watching` forks this process: pyarrow has threads.
    import pyarrow.parquet

    return {name: pyarrow.parquet.read_table(folder / name) for name in existing(folder)}


def test_files_are_whole_or_absent(place, forks, tmp_path, tally):
    require_watching()
    built, left = place / "built", tmp_path / "left"
    built.mkdir()
    recorder = Recorder(built)
    done = watched(forks, [built], recorder, "-m", "export.embed", *flags(place, built))
    assert not done.returncode, done.stderr
    recorder.look()
    expected = content(built)
    assert len(expected) == 3 and len(PartFolder(built)) == IMAGES - 1
    trees = [*recorder.kills, *(cut for cuts in recorder.cuts for cut in cuts)]
    distinct = list({tuple(sorted(tree.items())): tree for tree in trees}.values())
    seen = set()
    for tree in distinct:
        write_tree(tree, left)
        found = content(left)
        assert all(table.equals(expected[name], True) for name, table in found.items())
        seen.add(len(found))
        main(command_parser().parse_args(flags(place, left)))
        assert content(left).keys() == expected.keys()
        assert all(table.equals(expected[name], True) for name, table in content(left).items())
        assert not list(left.glob(".*"))
    assert seen == {0, 1, 2, 3}
    tries = 3 * len(recorder.calls)
    tally("embeddings: SIGKILL and power cut before each write", tries, "whole files; a repeat ends the same")
