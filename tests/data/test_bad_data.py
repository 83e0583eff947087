"""Odd and damaged images, archives and lists: each has a decided answer, which BUILD.md lists."""

import os
import re
import struct
import threading
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from export.gallery.image_list import images_below
from keras_cdd.data import image, load_dataset, read_image
from keras_cdd.data.image import file_identity
from keras_cdd.errors import MissingFileError, UserError

COLOUR = (200, 100, 50)


@pytest.fixture
def saved(tmp_path):
    """`saved(name, picture, **options)` gives the path of a saved image, 20 pixels high and 30 wide by default."""

    def save(name, picture=None, **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (picture or Image.new("RGB", (30, 20), COLOUR)).save(path, **options)
        return path

    return save


def shown(path):
    """(height, width) of an image and its mean colour, rounded."""
    pixels = read_image(path)
    return pixels.shape[:2], tuple(pixels.mean(axis=(0, 1)).round().astype(int).tolist())


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_the_suffix_need_not_be_the_format(saved, suffix):
    path = saved("photo.bmp")
    assert shown(path.rename(path.with_suffix(f".{suffix}"))) == ((20, 30), COLOUR)


@pytest.mark.parametrize("name", ["two\nlines.png", " spaces .png", "名前 ü.png", "a'b\"c.png"])
def test_names_may_be_anything(saved, name):
    assert shown(saved(name)) == ((20, 30), COLOUR)
    (record,) = images_below(saved(name).parent)
    assert shown(record.path) == ((20, 30), COLOUR)


@pytest.mark.parametrize(
    "name, options", [("grey.png", {}), ("grey.png", {"transparency": 0}), ("pgm.png", {"format": "PPM"})]
)
def test_pixels_of_16_bits_are_divided_by_256(saved, name, options):
    grey = np.arange(600, dtype=np.uint16).reshape(20, 30) * 109
    found = read_image(saved(name, Image.fromarray(grey), **options))
    np.testing.assert_array_equal(found, np.stack([grey // 256] * 3, axis=2))


def test_cmyk_is_converted(saved):
    size, colour = shown(saved("print.jpg", Image.new("RGB", (30, 20), COLOUR).convert("CMYK"), quality=100))
    assert size == (20, 30) and np.abs(np.subtract(colour, COLOUR)).max() < 4


@pytest.mark.parametrize("format", ["gif", "webp"])
def test_of_an_animation_the_first_picture_counts(saved, format):
    pictures = [Image.new("RGB", (30, 20), colour) for colour in ("red", "blue")]
    moving = {"format": format, "save_all": True, "append_images": pictures[1:]}
    assert shown(saved("moving.webp", pictures[0], **moving, **({"lossless": True} if format == "webp" else {}))) == (
        (20, 30),
        (255, 0, 0),
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_turned_upright(saved, orientation):
    """The corner with the mark ends at the top left."""
    upright = np.zeros((20, 30, 3), np.uint8)
    upright[:8, :8] = 255
    turned = {2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud, 5: lambda x: x.transpose(1, 0, 2)}
    turned |= {6: np.rot90, 7: lambda x: np.rot90(x, 2).transpose(1, 0, 2), 8: lambda x: np.rot90(x, -1)}
    exif = Image.Exif()
    exif[0x112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(turned.get(orientation, np.asarray)(upright)))
    np.testing.assert_array_equal(read_image(saved("photo.png", stored, exif=exif)), upright)
    np.testing.assert_array_equal(read_image(saved("photo.webp", stored, exif=exif, lossless=True)), upright)
    np.testing.assert_allclose(read_image(saved("photo.jpg", stored, exif=exif, quality=100)), upright, atol=3)


def test_a_single_pixel_is_an_image(saved):
    assert shown(saved("one.png", Image.new("RGB", (1, 1), COLOUR))) == ((1, 1), COLOUR)


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_grey_with_and_without_transparency_is_converted(saved, mode):
    assert shown(saved("grey.png", Image.new("L", (30, 20), 255).convert(mode))) == ((20, 30), (255, 255, 255))


@pytest.mark.parametrize("options", [{}, {"transparency": 0}])
def test_a_palette_is_looked_up(saved, options):
    picture = Image.new("RGB", (30, 20), COLOUR)
    picture.paste((0, 0, 255), (0, 0, 30, 10))
    colours = read_image(saved("palette.png", picture.convert("P", palette=Image.Palette.ADAPTIVE), **options))
    np.testing.assert_array_equal(colours[[0, -1], 0], [(0, 0, 255), COLOUR])


def test_transparency_is_dropped(saved):
    assert shown(saved("clear.png", Image.new("RGBA", (30, 20), (*COLOUR, 0)))) == ((20, 30), COLOUR)


def test_too_many_pixels_are_refused_before_they_are_decoded(saved):
    path = saved("large.png", Image.new("1", (1, 1)))
    content = bytearray(path.read_bytes())
    header = content[12:16] + struct.pack(">II", 20_000, 20_000) + content[24:29]
    content[12:33] = header + struct.pack(">I", zlib.crc32(header))
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"large\.png cannot be read .*400000000 pixels"):
        read_image(path)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>"])
def test_what_is_no_image_is_named(tmp_path, content):
    (tmp_path / "photo.jpg").write_bytes(content)
    with pytest.raises(UserError, match=r"photo\.jpg cannot be read \(it is in no known format\); replace or remove"):
        read_image(tmp_path / "photo.jpg")


def test_a_truncated_image_is_named(saved):
    path = saved("photo.jpg", Image.effect_noise((200, 200), 50))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"photo\.jpg cannot be read .*truncated"):
        read_image(path)


def test_links_are_followed_but_not_in_circles(saved, tmp_path):
    inside, outside = saved("photos/cat/a.png"), saved("elsewhere/b.png")
    (inside.parent / "link.png").symlink_to(outside)
    (inside.parent / "again").symlink_to("..")
    records = images_below(tmp_path / "photos")
    assert [os.path.relpath(record.path, tmp_path) for record in records] == ["photos/cat/a.png", "photos/cat/link.png"]
    outside.unlink()
    with pytest.raises(MissingFileError, match=r"There is no image .*link\.png"):
        read_image(records[1].path)


def test_names_in_archives_lead_nowhere_else(saved, tmp_path):
    """Entries are read in place; nothing is unpacked."""
    photo = saved("photo.png")
    photo.rename(tmp_path / "outside.png")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("cat/../../outside.png", b"from the archive")
        archive.write(tmp_path / "outside.png", "cat/a.png")
    before = sorted(tmp_path.iterdir())
    outside, inside = images_below(tmp_path / "photos.zip")
    assert image.read_bytes(outside.path) == b"from the archive" and shown(inside.path) == ((20, 30), COLOUR)
    assert sorted(tmp_path.iterdir()) == before


def test_an_entry_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(image, "LARGEST_ENTRY", 1000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat/a.png", bytes(1001))
    with pytest.raises(
        UserError,
        match=r"^Archive entry \S*bomb\.zip!/cat/a\.png has 1,001 bytes, 1,000 are allowed; unpack the archive\.$",
    ):
        read_image(tmp_path / "bomb.zip!/cat/a.png")


def test_an_entry_that_is_larger_than_it_says_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "odd.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat/a.png", bytes(1 << 20))
    content = (tmp_path / "odd.zip").read_bytes()
    (tmp_path / "odd.zip").write_bytes(content.replace(struct.pack("<I", 1 << 20), struct.pack("<I", 10)))
    with pytest.raises(UserError, match=r"odd\.zip!/cat/a\.png cannot be read .*CRC"):
        read_image(tmp_path / "odd.zip!/cat/a.png")


def test_a_text_in_a_png_that_would_fill_the_memory_is_refused(saved):
    path = saved("photo.png")
    text = b"Comment\0\0" + zlib.compress(bytes(1 << 28))
    chunk = struct.pack(">I", len(text)) + b"zTXt" + text + struct.pack(">I", zlib.crc32(b"zTXt" + text))
    content = path.read_bytes()
    start = content.index(b"IDAT") - 4
    path.write_bytes(content[:start] + chunk + content[start:])
    with pytest.raises(UserError, match=r"photo\.png cannot be read \(Decompressed data too large"):
        read_image(path)


@pytest.mark.parametrize("place", [6, 8])
def test_entries_that_cannot_be_unpacked_are_named(tmp_path, place):
    """An encrypted one, and one that is compressed in an unknown way."""
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as archive:
        archive.writestr("cat/a.png", b"abc")
    content = bytearray((tmp_path / "odd.zip").read_bytes())
    for start, shift in ((content.index(b"PK\3\4"), 0), (content.index(b"PK\1\2"), 2)):
        content[start + shift + place] = 1 if place == 6 else 99
    (tmp_path / "odd.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"Archive entry .*odd\.zip!/cat/a\.png cannot be read .*; fetch the archive"):
        read_image(tmp_path / "odd.zip!/cat/a.png")


@pytest.mark.parametrize("place, value", [(6, 255), (9, 8)], ids=["of a later version", "a name that is no UTF-8"])
def test_a_directory_that_cannot_be_read_is_a_damaged_archive(tmp_path, place, value):
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as archive:
        archive.writestr("cat/a.png", b"abc")
    content = bytearray((tmp_path / "odd.zip").read_bytes())
    start = content.index(b"PK\1\2")
    content[start + place], content[start + 46] = value, 255
    (tmp_path / "odd.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"Archive .*odd\.zip cannot be read .*; fetch it again"):
        images_below(tmp_path / "odd.zip")
    with pytest.raises(MissingFileError, match=r"its archive cannot be read"):
        listed(tmp_path, "odd.zip!/cat/a.png,cat,1,train\n")
    assert file_identity(tmp_path / "odd.zip!/cat/a.png") is None


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files are counted on Linux")
def test_many_archives_are_not_open_at_once(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(image, "_MOST_OPEN", 4)
    photo = saved("photo.png")
    for number in range(30):
        with zipfile.ZipFile(tmp_path / f"{number}.zip", "w") as archive:
            archive.write(photo, f"{number}/a.png")
    photo.unlink()
    opened = []

    def read_all():
        before = len(os.listdir("/proc/self/fd"))
        assert all(shown(record.path) == ((20, 30), COLOUR) for record in images_below(tmp_path))
        opened.append(len(os.listdir("/proc/self/fd")) - before)

    # A thread that has opened none.
    reader = threading.Thread(target=read_all)
    reader.start()
    reader.join()
    assert opened == [4]


def test_archives_in_archives_are_ignored(saved, tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.write(saved("photo.png"), "/cat/a.png")
        archive.writestr("inner.zip", b"PK")
    (record,) = images_below(tmp_path / "photos.zip")
    assert shown(record.path) == ((20, 30), COLOUR)


def test_a_gif_by_its_own_name_is_not_looked_for_but_read_where_it_is_named(saved, tmp_path):
    frames = {"save_all": True, "append_images": [Image.new("RGB", (30, 20), "blue")]}
    saved("cat/moving.gif", Image.new("RGB", (30, 20), "red"), **frames), saved("cat/a.png")
    (record,) = images_below(tmp_path / "cat")
    assert record.path.endswith("a.png")
    (named,) = listed(tmp_path, "cat/moving.gif,cat,1,train\n").train
    assert shown(named.path) == ((20, 30), (255, 0, 0))


def listed(tmp_path, rows):
    (tmp_path / "list.csv").write_text("path,identity,camera,split\n" + rows, encoding="utf-8")
    return load_dataset("csv", csv=str(tmp_path / "list.csv"))


def test_a_list_may_quote_commas_and_lines(saved, tmp_path):
    saved("a,b.png"), saved("two\nlines.png")
    dataset = listed(tmp_path, '"a,b.png","mug ""red""",1,train\n"two\nlines.png",cup,1,train\n')
    assert [record.identity for record in dataset.train] == ['mug "red"', "cup"]
    assert all(shown(record.path) == ((20, 30), COLOUR) for record in dataset.train)


def test_a_damaged_archive_in_a_list_is_named(saved, tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.write(saved("photo.png"), "a.png")
    content = (tmp_path / "photos.zip").read_bytes()
    (tmp_path / "photos.zip").write_bytes(content.replace(b"PK\1\2", b"PK\0\0"))
    with pytest.raises(MissingFileError, match=r"row 2: there is no image .*photos\.zip!/a\.png, or its archive"):
        listed(tmp_path, "photos.zip!/a.png,cat,1,train\n")


def test_an_image_that_is_listed_twice_is_refused(saved, tmp_path):
    saved("a.png")
    rows = "a.png,cat,1,gallery\na.png,cat,1,query\n"
    assert len(listed(tmp_path, rows).query) == 1
    with pytest.raises(UserError, match=re.escape("row 4 lists ") + r".*a\.png again, after row 2; remove one"):
        listed(tmp_path, rows + "a.png,dog,2,gallery\n")
