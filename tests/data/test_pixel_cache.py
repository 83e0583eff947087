"""The pixel cache decodes once and never returns wrong pixels, even after a kill or on a full disk."""

import errno
import os
import pathlib
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from keras_cdd.data import ImageStore, cache_folder, image_store, load_image, pixel_cache
from keras_cdd.data.records import MEAN_COLOUR, ImageRecord
from keras_cdd.errors import UserError

SIZE = (5, 4)
PACK_OF_TWO = 2 * 5 * 4 * 3


@pytest.fixture(autouse=True)
def small_packs(monkeypatch):
    monkeypatch.setattr(pixel_cache, "PACK_BYTES", PACK_OF_TWO)


@pytest.fixture
def decoded(monkeypatch):
    """The paths decoded since."""
    paths = []

    def load(path, size):
        paths.append(pathlib.Path(path).name)
        return load_image(path, size)

    monkeypatch.setattr(image_store, "load_image", load)
    return paths


def write_photo(path, seed):
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)).save(path)


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    paths = [tmp_path / "photos" / f"{number}.png" for number in range(7)]
    for number, path in enumerate(paths):
        write_photo(path, number)
    return [ImageRecord(str(path), path.stem) for path in paths]


def open_store(records, tmp_path, **options):
    return ImageStore(records, SIZE, cache_bytes=0, cache_dir=tmp_path / "cache", **options)


def assert_right(store):
    expected = [load_image(record.path, store.image_size) for record in store.records]
    np.testing.assert_array_equal(store.take(np.arange(len(store))), expected)
    np.testing.assert_array_equal(store.take([3, 0, 3]), [expected[3], expected[0], expected[3]])


def packs(tmp_path):
    return sorted((tmp_path / "cache").glob("*/*.pack"))


@pytest.mark.parametrize("threads", [1, 4])
def test_an_image_is_decoded_once_for_all_epochs_stores_and_runs(photos, tmp_path, decoded, monkeypatch, threads):
    monkeypatch.setattr(image_store, "_workers", lambda records: threads)
    store = open_store(photos, tmp_path)
    assert store.cached and sorted(decoded) == sorted(f"{number}.png" for number in range(7))
    assert_right(store)
    assert_right(open_store(photos[::-1], tmp_path))
    assert len(decoded) == 7
    assert len(packs(tmp_path)) == 4


def test_a_changed_file_is_a_new_image_and_another_size_too(photos, tmp_path, decoded):
    open_store(photos, tmp_path)
    write_photo(photos[2].path, 99)
    os.utime(photos[2].path, ns=(0, 12345))
    assert_right(open_store(photos, tmp_path))
    assert decoded[7:] == ["2.png"]
    assert_right(ImageStore(photos, (2, 6), cache_bytes=0, cache_dir=tmp_path / "cache"))
    assert len(decoded) == 15


def test_entries_of_archives_are_kept_by_their_checksum(tmp_path, photos, decoded):
    def pack(order):
        with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
            for name, number in zip("abcd", order, strict=True):
                archive.write(photos[number].path, f"{name}.png")
        os.utime(tmp_path / "all.zip", ns=(0, 0))

    records = [ImageRecord(f"{tmp_path}/all.zip!/{name}.png", name) for name in "abcd"]
    pack([0, 1, 2, 3])
    assert_right(open_store(records, tmp_path))
    assert_right(open_store(records, tmp_path))
    assert len(decoded) == 4
    os.remove(tmp_path / "all.zip")
    pack([0, 1, 2, 4])
    os.utime(tmp_path / "all.zip", ns=(0, 10**9))
    assert_right(open_store(records, tmp_path))


def test_a_killed_run_leaves_what_it_wrote_and_the_next_goes_on(photos, tmp_path, monkeypatch, decoded):
    replace, renamed = os.replace, []

    def killed(source, target):
        if len(renamed) == 2:
            raise SystemExit
        renamed.append(target)
        replace(source, target)

    monkeypatch.setattr(cache_folder.os, "replace", killed)
    monkeypatch.setattr(pathlib.Path, "unlink", lambda *args, **options: None)
    with pytest.raises(SystemExit):
        open_store(photos[:6], tmp_path)  # Three packs: no thread is left that could write a fourth.
    monkeypatch.undo()
    assert len(packs(tmp_path)) == 2 and len(list((tmp_path / "cache").glob("*/*.part"))) >= 1
    again = []
    monkeypatch.setattr(pixel_cache, "PACK_BYTES", PACK_OF_TWO)
    monkeypatch.setattr(image_store, "load_image", lambda path, size: again.append(path) or load_image(path, size))
    assert_right(open_store(photos, tmp_path))
    assert len(again) == 3


FILL_SLOWLY = """
import sys, time
from keras_cdd.data import ImageStore, cache_folder, image_store, load_image, pixel_cache
from keras_cdd.data.records import ImageRecord

def load(path, size):
    time.sleep(0.02)
    return load_image(path, size)

image_store.load_image, pixel_cache.PACK_BYTES = load, 60
ImageStore([ImageRecord(path, 0) for path in sys.argv[2:]], (5, 4), cache_bytes=0, cache_dir=sys.argv[1])
"""


@pytest.mark.slow
def test_a_process_that_is_killed_in_the_midst_loses_at_most_one_pack(tmp_path, photos, decoded):
    for number in range(7, 200):
        write_photo(tmp_path / f"{number}.png", number)
        photos.append(ImageRecord(str(tmp_path / f"{number}.png"), str(number)))
    arguments = [str(tmp_path / "cache"), *(record.path for record in photos)]
    process = subprocess.Popen([sys.executable, "-c", FILL_SLOWLY, *arguments])
    while len(packs(tmp_path)) < 5:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    written = len(packs(tmp_path))
    assert 5 <= written < 200
    assert_right(open_store(photos, tmp_path))
    assert len(decoded) == 200 - written


def test_a_file_that_is_no_whole_pack_is_not_used(photos, tmp_path, decoded):
    open_store(photos, tmp_path)
    cut, empty = packs(tmp_path)[:2]
    cut.write_bytes(cut.read_bytes()[:-1])
    empty.write_bytes(b"")
    assert_right(open_store(photos, tmp_path))
    assert 10 <= len(decoded) <= 11


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_once_and_decoding_goes_on(photos, tmp_path, monkeypatch, caplog, code):
    written = []

    def full(_):
        if written:
            raise OSError(code, "full")
        written.append(1)

    monkeypatch.setattr(cache_folder.os, "fsync", full)
    store = open_store(photos, tmp_path)
    assert not store.cached and len(store) == 7 and len(packs(tmp_path)) == 1
    assert_right(store)
    assert_right(store)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "decoded anew in every epoch: no space is left in" in caplog.text
    assert not list((tmp_path / "cache").glob("*/*.part"))


def test_other_failures_of_writing_are_not_hidden(photos, tmp_path, monkeypatch):
    def broken(_):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(cache_folder.os, "fsync", broken)
    with pytest.raises(OSError, match="broken"):
        open_store(photos, tmp_path)


def test_the_last_gibibyte_of_a_disk_is_left_alone(photos, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(cache_folder, "RESERVE_BYTES", 1 << 60)
    assert_right(open_store(photos, tmp_path))
    assert not packs(tmp_path) and "is nearly full" in caplog.text


def test_no_more_than_the_limit_is_held_and_the_longest_unused_goes_first(photos, tmp_path, caplog):
    pack_bytes = 2 * (60 + pixel_cache.KEY_BYTES)
    limit = {"cache_gib": 2.5 * pack_bytes / (1 << 30)}
    for number, first in enumerate((0, 2)):
        assert open_store(photos[first : first + 2], tmp_path, **limit).cached
        for pack in packs(tmp_path):
            if pack.stat().st_mtime > 100:
                os.utime(pack, (number, number))
    old, kept = sorted(packs(tmp_path), key=lambda pack: pack.stat().st_mtime)
    assert open_store(photos[4:6], tmp_path, **limit).cached
    assert not old.exists() and kept.exists()
    assert not caplog.records
    store = open_store(photos, tmp_path, **limit)
    assert not store.cached and "`cache_gib`" in caplog.text
    assert sum(pack.stat().st_size for pack in packs(tmp_path)) <= 2.5 * pack_bytes
    assert_right(store)


def test_unreadable_images_are_left_out_and_never_kept(photos, tmp_path, caplog):
    pathlib.Path(photos[1].path).write_text("no image")
    pathlib.Path(photos[5].path).unlink()
    for _ in range(2):
        store = open_store(photos, tmp_path)
        assert [record.identity for record in store.records] == ["0", "2", "3", "4", "6"]
        assert store.cached
        assert_right(store)
        assert "2 of 7 images are unreadable, the first is" in caplog.text
        caplog.clear()
    with pytest.raises(ValueError, match=r"1\.png"):
        open_store(photos, tmp_path, strict=True)
    write_photo(photos[1].path, 1)
    assert len(open_store(photos, tmp_path)) == 6


def test_an_unreadable_image_that_was_not_reached_shows_grey(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(cache_folder, "RESERVE_BYTES", 1 << 60)
    pathlib.Path(photos[6].path).write_text("no image")
    monkeypatch.setattr(image_store, "_workers", lambda records: 1)
    store = open_store(photos, tmp_path)
    assert len(store) == 7
    assert store.take([6])[0, 0, 0].tolist() == list(MEAN_COLOUR)


def test_what_fits_into_memory_is_not_written(photos, tmp_path):
    store = ImageStore(photos, SIZE, cache_dir=tmp_path / "cache")
    assert store.cached and not (tmp_path / "cache").exists()


def test_a_folder_that_cannot_be_written_to_is_named(photos, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(UserError, match="cache cannot hold decoded images .*`cache_dir`"):
        open_store(photos, tmp_path)
