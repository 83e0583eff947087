"""All files of the shared folder count, and the one that was not used for longest leaves first."""

import os

import pytest

from keras_cdd.data.cache_folder import CacheFolder

KIB = 1 << 10


@pytest.fixture
def folder(tmp_path):
    """A cache of 4 KiB with a pack and the rows of a teacher of 1 KiB each; the rows were used later."""
    cache = CacheFolder(tmp_path, 4 * KIB / (1 << 30))
    for time, name in enumerate(("v1_2x2/a.pack", "teachers/b.npy")):
        cache.open((tmp_path / name).parent)
        cache.write(tmp_path / name, [bytes(KIB)])
        os.utime(tmp_path / name, (time, time))
    return cache


def left(cache):
    return sorted(path.name for path in cache.path.rglob("*.*"))


def test_nothing_leaves_while_there_is_room(folder):
    assert folder.make_room(2 * KIB) is None and left(folder) == ["a.pack", "b.npy"]


def test_files_of_all_kinds_make_room(folder):
    assert folder.make_room(3 * KIB) is None and left(folder) == ["b.npy"]
    assert folder.make_room(4 * KIB) is None and left(folder) == []


def test_what_is_used_stays(folder):
    used = [folder.path / "v1_2x2/a.pack"]
    assert folder.make_room(3 * KIB, used=used) is None and left(folder) == ["a.pack"]
    assert "(`cache_gib`)" in folder.make_room(4 * KIB, used=used) and left(folder) == ["a.pack"]


def test_what_is_about_to_be_written_counts(folder):
    assert folder.make_room(2 * KIB, reserved=KIB) is None and left(folder) == ["b.npy"]
