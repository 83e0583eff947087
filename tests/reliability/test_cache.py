"""Decoded images on disk: shared by processes, right after kills and power cuts, and not needed."""

import os
import pathlib
import shutil
import threading

import numpy as np
import pytest
from PIL import Image

from keras_cdd.data import ImageStore, load_image, pixel_cache
from keras_cdd.data.records import ImageRecord
from tests.reliability.disk import Recorder, write_tree
from tests.reliability.full_disk import full_at_every_call
from tests.reliability.system_calls import require_watching, watched

SIZE, IMAGES = (5, 4), 12
FILLING = """
import pathlib, sys
from keras_cdd.data import pixel_cache
from tests.reliability.test_cache import open_store, records
pixel_cache.PACK_BYTES = 2 * 5 * 4 * 3
"""
FULL = """
import logging
import numpy as np
from keras_cdd.errors import UserError
from tests.reliability.test_cache import IMAGES
logging.disable()
expected = open_store(records("{photos}"), "{photos}/../expected").take(np.arange(IMAGES))

def prepare(folder):
    pass

def attempt(folder):
    assert (open_store(records("{photos}"), folder + "/cache").take(np.arange(IMAGES)) == expected).all()

def check(folder, failure):
    assert failure is None or isinstance(failure, UserError), repr(failure)
    attempt(folder)
    assert not list(pathlib.Path(folder).rglob("*.part"))
"""


def records(folder):
    return [ImageRecord(str(path), path.stem) for path in sorted(pathlib.Path(folder).glob("*.png"))]


def open_store(images, folder):
    return ImageStore(images, SIZE, cache_bytes=0, cache_dir=folder)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    require_watching()
    monkeypatch.setattr(pixel_cache, "PACK_BYTES", 2 * 5 * 4 * 3)
    (tmp_path / "photos").mkdir()
    for number in range(IMAGES):
        pixels = np.random.default_rng(number).integers(0, 256, (7, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number:02}.png")
    return tmp_path / "photos"


def assert_right(photos, folder):
    store = open_store(records(photos), folder)
    expected = [load_image(record.path, SIZE) for record in records(photos)]
    np.testing.assert_array_equal(store.take(np.arange(IMAGES)), expected)
    return store


def packs(folder):
    return sorted(path.name for path in folder.rglob("*.pack"))


def test_a_kill_and_a_power_cut_before_any_write(photos, forks, tmp_path, tally):
    cache = tmp_path / "cache"
    cache.mkdir()
    recorder = Recorder(cache)
    code = FILLING + "open_store(records(sys.argv[1]), sys.argv[2])"
    done = watched(forks, [cache], recorder, "-c", code, str(photos), str(cache))
    assert not done.returncode and len(packs(cache)) == IMAGES // 2, done.stderr
    recorder.look()
    for left in (*recorder.kills, *(left for cuts in recorder.cuts for left in cuts)):
        write_tree(left, tmp_path / "left")
        for part in (tmp_path / "left").rglob("*.part"):
            os.utime(part, (0, 0))
        assert assert_right(photos, tmp_path / "left").cached
        assert not list((tmp_path / "left").rglob("*.part"))
    tally(
        "cache: SIGKILL and power cut before each write",
        3 * len(recorder.calls),
        "right images; parts leave after a day",
    )


def test_a_full_disk_from_any_write_on(photos, forks, tmp_path, tally):
    (tmp_path / "full").mkdir()
    code = FILLING + FULL.format(photos=photos)
    messages = full_at_every_call(forks, tmp_path / "full", code)
    assert len(messages) > IMAGES
    tally("cache: disk full from each write on", len(messages), "decoded anew, or refused in one line")


def test_two_processes_fill_one_cache(photos, forks, tmp_path, tally):
    """They need not wait for one another: each writes packs of its own."""
    cache, first, seen = tmp_path / "cache", threading.Event(), []

    def fill_meanwhile(call):
        if call.what == "rename" and not first.is_set():
            first.set()
            seen.append(assert_right(photos, cache).cached)

    code = FILLING + "open_store(records(sys.argv[1]), sys.argv[2])"
    cache.mkdir()
    done = watched(forks, [cache], fill_meanwhile, "-c", code, str(photos), str(cache))
    assert not done.returncode and seen == [True], done.stderr
    assert assert_right(photos, cache).cached
    tally("cache: two processes fill it at once", 2, "both go on, right images")


@pytest.mark.parametrize("what", ["folder", "part"])
def test_what_disappears_under_a_run_is_decoded_anew(photos, tmp_path, monkeypatch, tally, what):
    """A clock that jumps makes a part look abandoned; and a user may empty the cache."""
    cache, replace = tmp_path / "cache", os.replace

    def replaced(source, target):
        if what == "folder":
            shutil.rmtree(cache)
        else:
            os.unlink(source)
        replace(source, target)

    monkeypatch.setattr(os, "replace", replaced)
    assert not assert_right(photos, cache).cached
    tally(f"cache: its {what} removed under a run", 1, "decoded anew")
