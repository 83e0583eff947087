"""Reading and resizing, against their definitions."""

import concurrent.futures
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from keras_cdd.data.image import load_image, read_image, resize


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def png(pixels, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png", **options)
    return buffer.getvalue()


def resize_by_definition(image, height, width):
    """Every input pixel a block of height * width units, every output pixel the mean of its units."""
    rows, columns, channels = image.shape
    units = np.repeat(np.repeat(image.astype(np.int64), height, axis=0), width, axis=1)
    sums = units.reshape(height, rows, width, columns, channels).sum(axis=(1, 3))
    return (2 * sums + rows * columns) // (2 * rows * columns)


@pytest.mark.parametrize(
    "shape, size",
    [
        ((5, 7), (3, 4)),
        ((3, 2), (7, 5)),
        ((6, 4), (3, 2)),
        ((4, 9), (8, 2)),
        ((1, 1), (3, 3)),
        ((9, 9), (1, 1)),
    ],
)
def test_resize_is_the_area_average_rounded_half_up(shape, size):
    image = picture(*shape)
    result = resize(image, size)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, resize_by_definition(image, *size))


def overlaps(inputs, outputs):
    """int64 (outputs, inputs): what they share of an axis of `inputs * outputs` units."""
    pixel, output = np.arange(inputs) * outputs, np.arange(outputs)[:, None] * inputs
    return np.maximum(np.minimum(pixel + outputs, output + inputs) - np.maximum(pixel, output), 0)


def resize_in_integers(image, height, width):
    rows, columns, _ = image.shape
    down = np.einsum("hr,rcd->hcd", overlaps(rows, height), image.astype(np.int64))
    sums = np.einsum("hcd,wc->hwd", down, overlaps(columns, width))
    return (2 * sums + rows * columns) // (2 * rows * columns)


@pytest.mark.parametrize("seed", range(60))
def test_resize_gives_the_bytes_of_integer_arithmetic(seed):
    rng = np.random.default_rng(seed)
    rows, columns, height, width = (int(2 ** rng.uniform(0, 6.5)) for _ in range(4))
    # Two neighbouring values give many exact halves; the extremes the largest sums.
    low, high = ((0, 256), (127, 129), (254, 256))[seed % 3]
    image = rng.integers(low, high, (rows, columns, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resize(image, (height, width)), resize_in_integers(image, height, width))


@pytest.mark.parametrize("shape", [(181, 181), (182, 181), (233, 241), (256, 257), (257, 257), (301, 299)])
@pytest.mark.parametrize("seed", range(4))
def test_resize_is_exact_where_sums_fill_their_type(shape, seed):
    """24 bits are enough for the quotients of the first, the sums of the second to fourth, 53 for all others."""
    rng = np.random.default_rng(seed)
    image = rng.integers(250 - 250 * (seed % 2), 256, (*shape, 3), dtype=np.uint8)
    size = (shape[0] - 1, shape[1] - 1)
    np.testing.assert_array_equal(resize(image, size), resize_in_integers(image, *size))


@pytest.mark.parametrize("rows, height", [(30000, 2), (29999, 7), (2, 3001), (1999, 2000)])
def test_resize_is_exact_along_very_long_axes(rows, height):
    image = picture(rows, 1)
    np.testing.assert_array_equal(resize(image, (height, 1)), resize_in_integers(image, height, 1))
    across = image.transpose(1, 0, 2)
    np.testing.assert_array_equal(resize(across, (1, height)), resize_in_integers(across, 1, height))


def test_threads_resize_like_one():
    images = [picture(90 + number, 70, number) for number in range(40)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda image: resize(image, (40, 50)), images))
    for image, result in zip(images, found, strict=True):
        np.testing.assert_array_equal(result, resize(image, (40, 50)))


def test_resize_rounds_halves_up_and_keeps_the_extremes():
    column = np.array([0, 1], np.uint8).reshape(2, 1, 1)
    assert resize(column, (1, 1)).item() == 1
    np.testing.assert_array_equal(resize(np.full((300, 500, 3), 255, np.uint8), (7, 11)), 255)


def test_a_picture_of_millions_of_pixels_does_not_overflow():
    image = np.full((2500, 2000, 3), 254, np.uint8)
    np.testing.assert_array_equal(resize(image, (2, 3)), 254)


def test_resize_to_the_same_size_is_the_image_itself():
    image = picture(4, 6)
    assert resize(image, (4, 6)) is image


def test_resize_refuses_an_empty_size():
    with pytest.raises(ValueError, match="size=\\(0, 3\\)"):
        resize(picture(4, 4), (0, 3))


def test_files_and_zip_entries_give_the_same_pixels(tmp_path):
    pixels = picture(6, 5)
    (tmp_path / "a.png").write_bytes(png(pixels))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("inner/a.png", png(pixels))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), pixels)
    np.testing.assert_array_equal(read_image(f"{tmp_path}/a.zip!/inner/a.png"), pixels)
    np.testing.assert_array_equal(load_image(tmp_path / "a.png", (3, 2)), resize(pixels, (3, 2)))


def test_the_exif_rotation_is_applied(tmp_path):
    pixels = picture(4, 6)
    exif = Image.Exif()
    exif[0x0112] = 6  # The top of the scene is at the right: turn clockwise to view.
    (tmp_path / "a.png").write_bytes(png(pixels, exif=exif))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.rot90(pixels, -1))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA"])
def test_other_kinds_of_pixels_become_rgb(tmp_path, mode):
    Image.fromarray(picture(4, 4)).convert(mode).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.shape == (4, 4, 3) and image.dtype == np.uint8


def test_a_palette_with_transparency_is_read_without_a_warning(tmp_path):
    image = Image.fromarray(picture(4, 4)).convert("P")
    image.save(tmp_path / "a.png", transparency=bytes(range(256)))
    assert read_image(tmp_path / "a.png").shape == (4, 4, 3)


def test_unreadable_images_are_named(tmp_path):
    (tmp_path / "cut.png").write_bytes(png(picture(40, 40))[:400])
    (tmp_path / "text.jpg").write_text("no image")
    for name in ("cut.png", "text.jpg"):
        with pytest.raises(ValueError, match=name):
            read_image(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="absent.png"):
        read_image(tmp_path / "absent.png")


def test_damaged_bytes_are_a_value_error_wherever_they_are(tmp_path):
    whole = bytearray(png(picture(12, 12)))
    rng = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(whole)
        for position in rng.integers(len(whole), size=3):
            damaged[position] ^= int(rng.integers(1, 256))
        (tmp_path / "a.png").write_bytes(damaged)
        try:
            assert read_image(tmp_path / "a.png").dtype == np.uint8
        except ValueError as error:
            assert "a.png" in str(error)


def test_missing_archives_and_entries_are_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", png(picture(2, 2)))
    (tmp_path / "cut.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:40])
    with pytest.raises(FileNotFoundError, match="b.png"):
        read_image(f"{tmp_path}/a.zip!/b.png")
    with pytest.raises(FileNotFoundError, match="b.zip"):
        read_image(f"{tmp_path}/b.zip!/a.png")
    with pytest.raises(ValueError, match="cut.zip"):
        read_image(f"{tmp_path}/cut.zip!/a.png")


def test_an_archive_that_was_written_anew_is_opened_anew(tmp_path):
    for seed, size in ((0, 3), (1, 5)):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("a.png", png(picture(size, size, seed)))
        np.testing.assert_array_equal(read_image(f"{tmp_path}/a.zip!/a.png"), picture(size, size, seed))
