"""Damage of every kind is found; `tests/reliability` tries thousands of damaged files."""

import json

import numpy as np
import pytest

from export.android.manifest import parse_manifest
from export.gallery.format import GalleryFormat
from export.gallery.gallery import Gallery
from export.gallery.image import GalleryImage, thumbnail_of
from export.gallery.vector_codec import encode
from export.gallery.vectors import GalleryVectors
from tests.export.gallery.using import use

SIZE, IMAGES = 16, 40


@pytest.fixture(scope="module")
def gallery_bytes(tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "g.sqlite"
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(IMAGES, SIZE))
    thumbnail = thumbnail_of(rng.integers(0, 256, (8, 8, 3), np.uint8))
    images = [GalleryImage(f"folder/{n}.jpg", f"é{n // 3}", "c" if n % 2 else None, thumbnail) for n in range(IMAGES)]
    with Gallery(path, create=lambda: GalleryFormat("0" * 64, "m.tflite", (8, 8), SIZE, "int8")) as gallery:
        gallery.add(images, *encode(rows / np.linalg.norm(rows, axis=1, keepdims=True), "int8"))
    return path.read_bytes()


def test_every_cut_off_gallery_is_refused(gallery_bytes, tmp_path):
    path = tmp_path / "g.sqlite"
    for length in range(0, len(gallery_bytes), 211):
        path.write_bytes(gallery_bytes[:length])
        with pytest.raises(ValueError, match="cannot be used"):
            use(path)


def test_every_flipped_bit_of_an_embedding_is_found():
    (stored,), (scale,) = encode(np.random.default_rng(0).normal(size=(1, 100)), "int8")
    for bit in range(800):
        blob = bytearray(stored.tobytes())
        blob[bit // 8] ^= 1 << bit % 8
        # -64 and 64 are one bit apart and have the same length.
        if bit % 8 == 7 and abs(stored[bit // 8]) == 64:
            continue
        with pytest.raises(ValueError, match="image 7 does not fit its scale"):
            GalleryVectors.from_rows([(7, bytes(blob), scale)], "int8", 100)


MANIFEST = {
    "format": "keras_cdd manifest",
    "version": 1,
    "model": {
        "file": "model.tflite",
        "sha256": "0" * 64,
        "bytes": 5,
        "image_height": 8,
        "image_width": 8,
        "input_type": "uint8",
        "embedding_size": 16,
        "output_type": "int8",
        "output_scale": 0.5,
        "output_zero_point": -3,
    },
    "gallery": {"file": "gallery.sqlite", "sha256": "0" * 64, "images": 40, "embedding_type": "int8"},
    "samples": [{"file": "samples/0.png", "identity": None}],
}
ODD = [None, True, -1, 0, 1.5, 1e999, 10**400, "", "x", "../x", "/etc/x", "a/../b", "\ud800", [], {}, [[]], {"file": 3}]


def places(value, path=()):
    """The paths to everything inside."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def test_manifests_with_odd_values():
    for path in list(places(MANIFEST))[1:]:
        for odd in ODD:
            manifest = json.loads(json.dumps(MANIFEST))
            parent = manifest
            for key in path[:-1]:
                parent = parent[key]
            parent[path[-1]] = odd
            try:
                accepted = parse_manifest(json.dumps(manifest).encode())
            except ValueError as error:
                assert "\n" not in str(error)
            else:
                assert not any(".." in entry["file"] for entry in (accepted["model"], accepted["gallery"]))
                assert (
                    path[0] == "samples"
                    or path[-1] in ("bytes", "images", "output_scale", "output_zero_point")
                    or (path[-1] in ("file", "image_height", "image_width", "embedding_size"))
                )


def test_what_is_no_manifest():
    assert parse_manifest(json.dumps(MANIFEST).encode()) == MANIFEST
    for deep in (b"[" * 100_000, b'{"a":' * 100_000, b"", b"\xff\xfe", b"null", b"[]"):
        with pytest.raises(ValueError):
            parse_manifest(deep)
