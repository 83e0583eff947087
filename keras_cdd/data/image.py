"""Reads and resizes images; this is the only preprocessing, used everywhere (NumPy and Pillow only)."""

import errno
import functools
import io
import lzma
import math
import os
import pathlib
import struct
import threading
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from keras_cdd.errors import MissingFileError, UserError

try:
    import resource

    MOST_FILES = max(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 512)
except ImportError:  # Windows
    MOST_FILES = 512

ZIP_MARK = "!/"
IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")

# A small archive can promise terabytes; an image as large as this has more pixels than are read.
LARGEST_ENTRY = 1 << 28

_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
# RuntimeError: encrypted, of a later version, or compressed in an unknown way. UnicodeDecodeError: by its names.
_ODD_ZIP = (RuntimeError, UnicodeDecodeError, struct.error)
_UNREADABLE_ENTRIES = (OSError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, *_ODD_ZIP)
_OPEN_ZIPS = threading.local()
# In each thread: those of a pool together may have a quarter of the files that a process may open, often 1,024.
_MOST_OPEN = min(32, max(1, MOST_FILES // 4 // (os.cpu_count() or 1)))
# Small enough that intermediate results stay in the cache and need no new memory pages for every image.
_ROWS_AT_ONCE = 128
_SOURCES: dict[str, Callable[[str], np.ndarray]] = {}


def load_image(path, size):
    """Reads an image and resizes it to `size` = (height, width): uint8 RGB (height, width, 3).

    Raises:
        MissingFileError: if there is no such file.
        UserError: if the image cannot be decoded.
    """
    return resize(read_image(path), size)


def read_image(path):
    """Reads an image as uint8 RGB (H, W, 3), upright according to its EXIF tag.

    Args:
        path: a file, an entry of an archive `archive.zip!/inner/path.png`, or `scheme://...` of a registered source.

    Raises:
        MissingFileError: if there is no such file or entry.
        UserError: if the image cannot be decoded.
    """
    path = str(path)
    scheme, mark, _ = path.partition("://")
    if mark and scheme in _SOURCES:
        return _SOURCES[scheme](path)
    data = io.BytesIO(read_bytes(path)) if ZIP_MARK in path else path
    try:
        with Image.open(data) as image:
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I"):
                # Pillow would cut off what is above 255, instead of what is below 256 as in colour images of 16 bits.
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            elif "transparency" in image.info:
                image = image.convert("RGBA")
            return np.array(image.convert("RGB"))
    except FileNotFoundError:
        raise MissingFileError(f"There is no image {path}; check the path.") from None
    except UnidentifiedImageError:
        raise UserError(f"Image {path} cannot be read (it is in no known format); replace or remove it.") from None
    except _UNREADABLE as error:
        raise UserError(f"Image {path} cannot be read ({error}); replace or remove it.") from None


def read_bytes(path):
    """Reads the bytes of a file or of an archive entry `archive.zip!/inner/path`.

    Raises:
        MissingFileError: if there is no such file or entry.
        UserError: if the archive is damaged, or the entry has more than `LARGEST_ENTRY` bytes.
    """
    archive, mark, entry = str(path).partition(ZIP_MARK)
    try:
        if not mark:
            return pathlib.Path(path).read_bytes()
        opened = open_zip(archive)
        size = opened.getinfo(entry).file_size
        if size > LARGEST_ENTRY:
            allowed = f"{LARGEST_ENTRY:,} are allowed; unpack the archive"
            raise UserError(f"Archive entry {path} has {size:,} bytes, {allowed}.")
        return opened.read(entry)
    except (FileNotFoundError, KeyError):
        raise MissingFileError(f"There is no file {path}; check the path.") from None
    except _UNREADABLE_ENTRIES as error:
        if not mark:
            raise
        raise UserError(f"Archive entry {path} cannot be read ({error}); fetch the archive again.") from None


def open_zip(archive):
    """Opens an archive, or returns the one that this thread of this process has opened for this version of the file.

    It stays open until this thread has used `_MOST_OPEN` others.

    Raises:
        OSError: if there is no such file or it cannot be read.
        zipfile.BadZipFile: if it is no archive, or its directory cannot be read.
    """
    if "\0" in str(archive):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(archive))
    status = os.stat(archive)
    key = (os.getpid(), str(archive), status.st_mtime_ns, status.st_size)
    opened = _OPEN_ZIPS.__dict__.setdefault("archives", {})
    try:
        # The latest is the last.
        opened[key] = opened.pop(key, None) or zipfile.ZipFile(archive)
    except _ODD_ZIP as error:
        raise zipfile.BadZipFile(str(error)) from None
    if len(opened) > _MOST_OPEN:
        opened.pop(next(iter(opened))).close()
    return opened[key]


def file_identity(path):
    """A key that changes when the bytes of an image change, computed without reading them.

    Returns:
        (path, size in bytes, time of the last change in ns), followed by the name and CRC-32 of an archive entry; None
        if there is no readable file or entry, as for images of a registered source.
    """
    archive, mark, entry = str(path).partition(ZIP_MARK)
    try:
        status = os.stat(archive)
        checksum = (entry, open_zip(archive).getinfo(entry).CRC) if mark else ()
    except (OSError, KeyError, zipfile.BadZipFile):
        return None
    return (os.path.abspath(archive), status.st_size, status.st_mtime_ns, *checksum)


def register_source(scheme, reader):
    """Makes `read_image` call `reader(path)`, which returns uint8 (H, W, 3), for paths `scheme://...`."""
    _SOURCES[scheme] = reader


def is_image_name(name):
    """Whether a name has one of `IMAGE_SUFFIXES`, which are searched for in folders and archives."""
    return pathlib.PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def resize(image, size):
    """Resizes an image to a smaller or larger size by exact area averaging in integers.

    Place an axis with `in` input and `out` output pixels on a line of `in * out` units: an input pixel covers `out`
    units, an output pixel `in` units. An output value is the sum S of all input values, weighted by the area (units of
    height times units of width) that they share with the output pixel, divided by the area of an output pixel and
    rounded to the nearest integer, halves up:

        (2 * S + total) // (2 * total)    with total = in_height * in_width

    Intermediate values are not rounded, so that every implementation gives the same bytes.

    Args:
        image: uint8 (H, W, C).
        size: (height, width) in pixels.

    Returns:
        uint8 (height, width, C); `image` itself if it already has that size.

    Raises:
        ValueError: if the height or width is below 1.
    """
    height, width = size
    if height < 1 or width < 1:
        raise ValueError(f"Argument `size` must be (height, width), both at least 1. Received: size={size!r}")
    return image if image.shape[:2] == (height, width) else _area_averages(image, height, width)


def _area_averages(image, height, width):
    rows, columns, channels = image.shape
    total = (rows // math.gcd(rows, height)) * (columns // math.gcd(columns, width))
    # Integers below 2^24 are exact in float32, and below 2^53 in float64, in any order of addition.
    kind = np.float32 if 255 * total < 1 << 24 else np.float64
    # A quotient is below the next integer by at least 1 / (2 * total); 24 bits resolve this for a total below 2^15.
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
    """The overlaps of output and input pixels along an axis, split into small matrix products.

    NumPy computes products of this size on one thread, so that several threads can resize images at once.

    Args:
        inputs, outputs: number of pixels along the axis.
        channels: number of adjacent values per pixel.
        kind: NumPy type of the weights.

    Returns:
        List of (slice of output values, slice of input values, weights (outputs, inputs) of these slices). Weights are
        in the largest unit that divides both pixel sizes.
    """
    common = math.gcd(inputs, outputs)
    # Fewer outputs per product if each covers many inputs, so that the weights have few zeros.
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
