"""Downloads, tested with local files."""

import hashlib
import zipfile

import pytest

from keras_cdd.data.datasets import grocery, omniglot
from keras_cdd.data.download import fetch_missing


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "server" / "images_background.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("images_background/a/character01/0001_01.png", b"ink")
    return path


def test_an_archive_is_fetched_once(archive, tmp_path):
    content = archive.read_bytes()
    md5 = hashlib.md5(content).hexdigest()
    folder = tmp_path / "data"
    for _ in range(2):
        fetch_missing(folder, "images_background", archive.as_uri(), md5)
        assert [path.name for path in folder.iterdir()] == ["images_background.zip"]
        assert (folder / "images_background.zip").read_bytes() == content
        archive.unlink(missing_ok=True)


def test_a_wrong_checksum_leaves_nothing_behind(archive, tmp_path):
    with pytest.raises(ValueError, match="(?i)incomplete or corrupted|hash"):
        fetch_missing(tmp_path / "data", "images_background", archive.as_uri(), "0" * 32)
    assert list((tmp_path / "data").iterdir()) == []


def test_an_unreachable_address_leaves_nothing_behind(tmp_path):
    with pytest.raises(Exception, match="(?i)fetch"):
        fetch_missing(tmp_path / "data", "x", (tmp_path / "absent.zip").as_uri())
    assert list((tmp_path / "data").iterdir()) == []


def test_omniglot_asks_for_both_archives_with_their_checksums(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(omniglot, "fetch_missing", lambda *arguments: asked.append(arguments))
    with pytest.raises(FileNotFoundError):
        omniglot.load(tmp_path, download=True)
    assert [(content, url.rsplit("/", 1)[1], len(md5)) for _, content, url, md5 in asked] == [
        ("images_background", "images_background.zip", 32),
        ("images_evaluation", "images_evaluation.zip", 32),
    ]


def test_grocery_asks_for_one_archive_of_a_pinned_commit(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(grocery, "fetch_missing", lambda *arguments: asked.append(arguments))
    with pytest.raises(FileNotFoundError):
        grocery.load(tmp_path, download=True)
    assert asked == [(tmp_path, "dataset/train.txt", grocery.URL)]
    assert grocery.URL.endswith(f"/{grocery.COMMIT}.zip") and len(grocery.COMMIT) == 40
