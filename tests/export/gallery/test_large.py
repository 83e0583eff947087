"""Memory does not grow with the number of images, except by their vectors where those are searched."""

import contextlib
import tracemalloc

import numpy as np
import pytest

from export.gallery import vectors
from export.gallery.format import GalleryFormat
from export.gallery.gallery import Gallery
from export.gallery.image import GalleryImage
from export.gallery.vector_codec import encode

SIZE, FEW, MANY = 256, 2_000, 8_000


@contextlib.contextmanager
def traced():
    """Yields a function that returns the most bytes that Python and NumPy have held since."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def galleries(tmp_path_factory):
    """Number of images -> path of a gallery of them, two an identity."""
    folder, made = tmp_path_factory.mktemp("large"), {}
    for count in (FEW, MANY):
        made[count] = folder / f"{count}.sqlite"
        form = GalleryFormat("ab" * 32, "m.tflite", (16, 12), SIZE, "int8")
        images = [GalleryImage(f"photos/{n}.jpg", f"id{n // 2}", None, b"") for n in range(count)]
        with Gallery(made[count], create=lambda form=form: form) as gallery:
            gallery.add(images, *encode(np.random.default_rng(0).normal(size=(count, SIZE)), "int8"))
    return made


def peak(path, action):
    with Gallery(path) as gallery, traced() as most:
        action(gallery)
        return most()


def test_a_check_holds_a_block_at_a_time(galleries, monkeypatch):
    monkeypatch.setattr(vectors, "BLOCK", 500)
    few, many = (peak(galleries[count], Gallery.check) for count in (FEW, MANY))
    assert many < 1.5 * few


def test_vectors_need_little_more_room_than_they_take(galleries, monkeypatch):
    monkeypatch.setattr(vectors, "BLOCK", 100)
    assert peak(galleries[MANY], Gallery.vectors) < 1.5 * MANY * SIZE


def test_questions_about_single_images_are_answered_without_reading_all(galleries):
    def ask(gallery):
        assert "photos/7.jpg" in gallery and "photos/-1.jpg" not in gallery and "\udce9" not in gallery
        assert gallery.identity_of("photos/7.jpg", "no") == "id3"
        assert gallery.identity_of("photos/-1.jpg", "no") == "no" == gallery.identity_of("\udce9", "no")

    few, many = (peak(galleries[count], ask) for count in (FEW, MANY))
    assert many < 1.5 * few


def test_ids_and_identities(galleries):
    with Gallery(galleries[FEW]) as gallery:
        assert gallery.ids() == list(range(1, FEW + 1))
        assert gallery.ids(one_each=True) == list(range(1, FEW + 1, 2))
        assert gallery.identities() == {f"id{n}" for n in range(FEW // 2)}
