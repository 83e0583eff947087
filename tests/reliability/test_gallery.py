"""A gallery is whole after a kill, a power cut and on a full disk, and one process at a time writes to it."""

import hashlib
import json
import pathlib
import shutil
import sqlite3

import numpy as np
import pytest
from PIL import Image

from export.build_gallery import command_parser, main
from export.conversion.integer_form import integer_form
from export.conversion.metadata import with_metadata
from export.conversion.quantize import to_tflite
from export.gallery.gallery import Gallery
from keras_cdd.errors import UserError
from tests.export.conftest import tiny_network
from tests.reliability.disk import Recorder, distinct, write_tree
from tests.reliability.full_disk import full_at_every_call
from tests.reliability.system_calls import require_watching, watched

IMAGES, BATCH = 24, 4
BUILDING = """
import contextlib, io, os, sys
from export.build_gallery import command_parser, main
from export.gallery.gallery import Gallery
from keras_cdd.errors import UserError
from tests.reliability.test_gallery import content

def prepare(folder):
    pass

def attempt(folder):
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        main(command_parser().parse_args(
            ["--model={place}/model_int8.tflite", "--images={place}/photos", "--batch_size=4",
             f"--output={{folder}}/g.sqlite"]))

def check(folder, failure):
    assert failure is None or isinstance(failure, (UserError, OSError)), repr(failure)
    attempt(folder)
    assert content(folder + "/g.sqlite") == content("{place}/built/g.sqlite") and os.listdir(folder) == ["g.sqlite"]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model, its report, and 24 photos of 8 identities."""
    place, random = tmp_path_factory.mktemp("gallery"), np.random.default_rng(0)
    pixels = random.integers(0, 256, (IMAGES, 16, 16, 3), np.uint8)
    model = with_metadata(to_tflite(integer_form(tiny_network()), "int8", "uint8", pixels), "tiny", "for tests")
    (place / "model_int8.tflite").write_bytes(model)
    # Vouches for the model: otherwise it is tried apart first.
    (place / "model_int8.json").write_text(json.dumps({"sha256": hashlib.sha256(model).hexdigest()}))
    for number, photo in enumerate(pixels):
        path = place / "photos" / f"id{number // 3}" / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).save(path)
    return place


def flags(place, output):
    return [
        f"--model={place}/model_int8.tflite",
        f"--images={place}/photos",
        f"--output={output}",
        f"--batch_size={BATCH}",
    ]


def build(place, output, *more):
    main(command_parser().parse_args([*flags(place, output), *more]))


def content(path):
    """All rows of a gallery that is not damaged."""
    file = sqlite3.connect(path)
    assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    rows = [file.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in ("images", "meta")]
    file.close()
    return rows


@pytest.fixture(scope="module")
def recorded(place, forks):
    """The folder of a gallery before each call of its build."""
    require_watching()
    (place / "built").mkdir()
    recorder = Recorder(place / "built")
    done = watched(
        forks, [place / "built"], recorder, "-m", "export.build_gallery", *flags(place, place / "built" / "g.sqlite")
    )
    assert not done.returncode, done.stderr
    recorder.look()
    return recorder


def readable(path):
    """How many images a search finds there: None if it refuses the gallery, in one line."""
    try:
        with Gallery(path) as gallery:
            assert gallery.unfinished or len(gallery.check()) in (0, IMAGES)
            return len(gallery.vectors())
    except UserError as error:
        assert "\n" not in str(error)
        return None


def assert_repeated(place, left, folder):
    write_tree(left, folder)
    found = readable(folder / "g.sqlite")
    assert found is None or found % BATCH == 0
    build(place, folder / "g.sqlite")
    assert content(folder / "g.sqlite") == content(place / "built" / "g.sqlite")
    assert [path.name for path in folder.iterdir()] == ["g.sqlite"]
    return found


def test_a_kill_before_any_write_of_a_build(place, recorded, tmp_path, tally):
    found = [assert_repeated(place, left, tmp_path / "left") for left in recorded.kills]
    assert {*range(0, IMAGES + 1, BATCH)} <= set(found)
    counts = [number for number in found if number is not None]
    assert counts == sorted(counts)
    tally("gallery: SIGKILL before each write of a build", len(recorded.calls), "whole batches; a repeat ends the same")


def test_a_power_cut_before_any_write_of_a_build(place, recorded, tmp_path, tally):
    lefts = distinct(left for cuts in recorded.cuts for left in cuts)
    for left in lefts:
        assert_repeated(place, left, tmp_path / "left")
    tally("gallery: power cut before each of them, two kinds", 2 * len(recorded.calls), "the same")


def test_a_full_disk_from_any_write_of_a_build_on(place, forks, recorded, tmp_path, tally):
    (tmp_path / "full").mkdir()
    messages = full_at_every_call(forks, tmp_path / "full", BUILDING.format(place=place))
    assert messages.pop() is None and len(messages) > 3 * IMAGES // BATCH
    for message in filter(None, messages):
        assert "disk" in message or "No space left" in message, message
    tally(
        "gallery: disk full from each write of a build on", len(messages), "one line; with room, a repeat ends the same"
    )


def test_removing_and_replacing_is_all_or_nothing(place, forks, recorded, tmp_path, tally):
    """A kill leaves a gallery from before or after it."""
    output = tmp_path / "place" / "g.sqlite"
    output.parent.mkdir()
    shutil.copy(place / "built" / "g.sqlite", output)
    before = content(output)
    gone = [row[1] for row in before[0][:5]]
    recorder = Recorder(output.parent)
    done = watched(
        forks, [output.parent], recorder, "-m", "export.build_gallery", f"--output={output}", "--remove", *gone
    )
    assert not done.returncode, done.stderr
    recorder.look()
    after = content(output)
    assert after == [before[0][5:], before[1]]
    lefts = distinct([*recorder.kills, *(left for cuts in recorder.cuts for left in cuts)])
    for left in lefts:
        write_tree(left, tmp_path / "left")
        assert content(tmp_path / "left" / "g.sqlite") in (before, after)
    tally(
        "gallery: SIGKILL and power cut before each write of a removal", 3 * len(recorder.calls), "before or after it"
    )


def test_the_second_writer_is_refused_and_readers_are_not(place, recorded, forks, tmp_path, tally):
    """Whenever a build in another process begins a transaction; readers wait only for the moment of its end."""
    output, seen = tmp_path / "g.sqlite", []

    def meanwhile(call):
        if call.what == "open" and call.path.endswith("g.sqlite-journal") and output.stat().st_size:
            with pytest.raises(UserError, match=rf"gallery .* is in use by process {call.process}; wait until it ends"):
                build(place, output)
            with Gallery(output) as gallery:
                seen.append(len(gallery.vectors()))

    done = watched(forks, [tmp_path], meanwhile, "-m", "export.build_gallery", *flags(place, output))
    assert not done.returncode, done.stderr
    assert (
        seen == sorted(seen)
        and {*range(0, IMAGES, BATCH)} <= set(seen)
        and content(output) == content(place / "built" / "g.sqlite")
    )
    tally("gallery: a second build while one adds", len(seen), "refused with the process number; a search goes on")


def test_a_gallery_that_grows_and_shrinks_keeps_its_size(place, recorded, tmp_path, tally):
    output, sizes = pathlib.Path(tmp_path) / "g.sqlite", []
    shutil.copy(place / "built" / "g.sqlite", output)
    with Gallery(output) as gallery:
        vectors = gallery.vectors()
        images = gallery.images(vectors.ids)[: IMAGES // 2]
        rows = vectors.stored[: len(images)], vectors.scales[: len(images)]
        file = gallery._file
        file.execute("PRAGMA synchronous = OFF")
        for _ in range(1000):
            gallery.remove([image.path for image in images])
            gallery.add(images, *rows)
            sizes.append(output.stat().st_size)
        assert len(gallery.check()) == IMAGES
    assert sizes[-1] == max(sizes[:10]) == max(sizes)
    tally("gallery: grown and shrunk", len(sizes), f"{sizes[-1]:,} bytes, as after the first")
