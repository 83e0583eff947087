"""From a file to pixels: the one preprocessing, the same everywhere (NumPy and Pillow only)."""

import functools
import io
import math
import os
import pathlib
import struct
import threading
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageOps

from keras_cdd.errors import MissingFileError, UserError

ZIP_MARK = "!/"
IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")

_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
_OPEN_ZIPS = threading.local()
# Few enough that what lies between two products stays in the cache, and needs no fresh pages for every image.
_ROWS_AT_ONCE = 128
_SOURCES: dict[str, Callable[[str], np.ndarray]] = {}


def load_image(path, size):
    """Reads an image and resizes it: uint8 RGB (height, width, 3) for `size` = (height, width)."""
    return resize(read_image(path), size)


def read_image(path):
    """Reads one image as uint8 RGB (H, W, 3), turned upright as its EXIF tag says.

    Args:
        path: a file, an entry of an archive `archive.zip!/inner/path.png`, or `scheme://...` of a registered
            source.

    Raises:
        FileNotFoundError: if there is no such file or entry.
        ValueError: if it cannot be decoded.
    """
    path = str(path)
    scheme, mark, _ = path.partition("://")
    if mark and scheme in _SOURCES:
        return _SOURCES[scheme](path)
    data = io.BytesIO(read_bytes(path)) if ZIP_MARK in path else path
    try:
        with Image.open(data) as image:
            image = ImageOps.exif_transpose(image)
            if "transparency" in image.info:
                image = image.convert("RGBA")
            return np.array(image.convert("RGB"))
    except FileNotFoundError:
        raise MissingFileError(f"There is no image {path}; check the path.") from None
    except _UNREADABLE as error:
        raise UserError(f"Image {path} cannot be read ({error}); replace or remove it.") from None


def read_bytes(path):
    """The bytes of a file or of an entry `archive.zip!/inner/path`.

    Raises:
        FileNotFoundError: if there is no such file or entry.
        ValueError: if the archive is damaged.
    """
    archive, mark, entry = str(path).partition(ZIP_MARK)
    try:
        return open_zip(archive).read(entry) if mark else pathlib.Path(path).read_bytes()
    except (FileNotFoundError, KeyError):
        raise MissingFileError(f"There is no file {path}; check the path.") from None
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise UserError(f"Archive entry {path} cannot be read ({error}); fetch the archive again.") from None


def open_zip(archive):
    """The opened archive, kept for the next call: one for each thread, process and version of the file."""
    status = os.stat(archive)
    key = (os.getpid(), str(archive), status.st_mtime_ns, status.st_size)
    opened = _OPEN_ZIPS.__dict__.setdefault("archives", {})
    if key not in opened:
        opened[key] = zipfile.ZipFile(archive)
    return opened[key]


def file_identity(path):
    """What changes when an image's bytes change, without reading them.

    Returns:
        (path, bytes, time of the last change in ns), for an entry of an archive also the entry's name and CRC-32;
        None for what is no readable file or entry, such as images of a registered source.
    """
    archive, mark, entry = str(path).partition(ZIP_MARK)
    try:
        status = os.stat(archive)
        checksum = (entry, open_zip(archive).getinfo(entry).CRC) if mark else ()
    except (OSError, KeyError, zipfile.BadZipFile):
        return None
    return (os.path.abspath(archive), status.st_size, status.st_mtime_ns, *checksum)


def register_source(scheme, reader):
    """Lets `read_image` answer paths `scheme://...` with `reader(path)`, a uint8 (H, W, 3) array."""
    _SOURCES[scheme] = reader


def is_image_name(name):
    """True for the endings that are looked for in folders and archives."""
    return pathlib.PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def resize(image, size):
    """Exact area averaging in integer arithmetic, to smaller and to larger sizes.

    Along an axis of `in` input and `out` output pixels, lay both on one line of `in * out` units. An input
    pixel spans `out` units there, an output pixel `in` units. An output value is the sum S of all inputs,
    each weighted by the area (units of height times units of width) that it shares with the output pixel,
    divided by the area of an output pixel and rounded to the nearest integer, halves up:

        (2 * S + total) // (2 * total)    with total = in_height * in_width

    Nothing is rounded in between, so every implementation gives the same bytes.

    Args:
        image: uint8 (H, W, C).
        size: (height, width).

    Returns:
        uint8 (height, width, C); the image itself if it has that size already.

    Raises:
        ValueError: for a size below one pixel.
    """
    height, width = size
    if height < 1 or width < 1:
        raise ValueError(f"Argument `size` must be (height, width), both at least 1. Received: size={size!r}")
    return image if image.shape[:2] == (height, width) else _area_averages(image, height, width)


def _area_averages(image, height, width):
    rows, columns, channels = image.shape
    total = (rows // math.gcd(rows, height)) * (columns // math.gcd(columns, width))
    # Whole numbers below 2^24 are exact in float32, below 2^53 in float64, in whatever order they are added.
    kind = np.float32 if 255 * total < 1 << 24 else np.float64
    # A quotient lies below the next whole number by 1 / (2 * total) at least, which 24 bits show up to a total of 2^15.
    exact = np.float32 if total < 1 << 15 else np.float64
    pixels = image.reshape(rows, columns * channels)
    down, down_bands = np.empty((_ROWS_AT_ONCE, columns * channels), kind), _bands(rows, height, 1, kind)
    sums, across_bands = np.empty((_ROWS_AT_ONCE, width * channels), kind), _bands(columns, width, channels, kind)
    averages = np.empty((height, width * channels), np.uint8)
    bands_at_once = _ROWS_AT_ONCE // down_bands[0][2].shape[0]
    for first in range(0, len(down_bands), bands_at_once):
        block = down_bands[first : first + bands_at_once]
        top, end = block[0][0].start, block[-1][0].stop
        for outputs, inputs, weights in block:
            np.matmul(weights, pixels[inputs].astype(kind), out=down[outputs.start - top : outputs.stop - top])
        for outputs, inputs, weights in across_bands:
            np.matmul(down[: end - top, inputs], weights.T, out=sums[: end - top, outputs])
        quotients = sums[: end - top].astype(exact, copy=False)
        quotients += exact(total / 2)
        quotients /= exact(total)
        averages[top:end] = quotients.astype(np.uint8)
    return averages.reshape(height, width, channels)


@functools.lru_cache(maxsize=64)
def _bands(inputs, outputs, channels, kind):
    """The overlaps of output with input pixels along an axis, in products as small as they are.

    Products of this size run on one thread of NumPy's, so images can be resized in several threads at once.

    Args:
        inputs, outputs: pixels along the axis.
        channels: values of a pixel, side by side.
        kind: NumPy type of the weights.

    Returns:
        list of (slice of output values, slice of input values, weights of that shape), in units as large as
        the two sizes allow.
    """
    common = math.gcd(inputs, outputs)
    # Few outputs where they span many inputs: the products hold few zeros either way.
    count = min(outputs, max(1, 8 * outputs // max(inputs, outputs)))
    first = np.arange(0, outputs, count)
    begin = first * inputs // outputs
    span = int((-(-np.minimum(first + count, outputs) * inputs // outputs) - begin).max())
    begin = np.minimum(begin, inputs - span)
    high, low = inputs // common, outputs // common
    output = (first[:, None] + np.arange(count))[..., None] * high
    pixel = (begin[:, None] + np.arange(span))[:, None] * low
    shared = np.minimum(output + high, pixel + low) - np.maximum(output, pixel)
    weights = np.zeros((len(first), count, channels, span, channels), kind)
    for channel in range(channels):
        weights[:, :, channel, :, channel] = np.maximum(shared, 0)
    weights = weights.reshape(len(first), count * channels, span * channels)
    ends = np.minimum(first + count, outputs)
    return [
        (slice(o * channels, e * channels), slice(i * channels, (i + span) * channels), w[: (e - o) * channels])
        for o, e, i, w in zip(first.tolist(), ends.tolist(), begin.tolist(), weights, strict=True)
    ]
