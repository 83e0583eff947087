"""From a file to pixels: the one preprocessing, the same everywhere (NumPy and Pillow only)."""

import io
import pathlib
import threading
import zipfile

import numpy as np
from PIL import Image, ImageOps

ZIP_MARK = "!/"
_OPEN_ZIPS = threading.local()


def load_image(path, size):
    """Reads an image and resizes it: uint8 RGB (height, width, 3) for `size` = (height, width)."""
    return resize(read_image(path), size)


def read_image(path):
    """Reads a file, or an entry `archive.zip!/inner/path.png`, as uint8 RGB (H, W, 3), turned as its EXIF tag says.

    Raises:
        FileNotFoundError: if there is no such file or entry.
        ValueError: if it cannot be decoded.
    """
    path = str(path)
    data = io.BytesIO(_zip_entry(*path.split(ZIP_MARK, 1))) if ZIP_MARK in path else path
    try:
        with Image.open(data) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no image {path}; check the path.") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"Image {path} cannot be read ({error}); replace or remove it.") from None


def _zip_entry(archive, name):
    opened = _OPEN_ZIPS.__dict__.setdefault("archives", {})
    try:
        if archive not in opened:
            opened[archive] = zipfile.ZipFile(archive)
        return opened[archive].read(name)
    except (FileNotFoundError, KeyError):
        raise FileNotFoundError(f"There is no image {archive}{ZIP_MARK}{name}; check the path.") from None
    except zipfile.BadZipFile as error:
        raise ValueError(f"Archive {archive} cannot be read ({error}); fetch it again.") from None


def resize(image, size):
    """Exact area averaging in integer arithmetic, to smaller and to larger sizes.

    Along an axis of n input and m output pixels, each input pixel spans m units and each output pixel n units of the
    same line of n * m units. An output value is the sum S of the inputs weighted by the units they share with it, both
    axes together, rounded to the nearest integer (halves up): `(2 * S + T) // (2 * T)` with `T = height * width` of the
    input. No step rounds in between, so every implementation gives the same bytes.

    Args:
        image: uint8 (H, W, C).
        size: (height, width).
    """
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    sums = _shared_sums(_shared_sums(image.astype(np.int64), height, 0), width, 1)
    total = image.shape[0] * image.shape[1]
    return ((2 * sums + total) // (2 * total)).astype(np.uint8)


def _shared_sums(pixels, outputs, axis):
    """Overlap-weighted sums along one axis, from differences of the running sum at the output pixels' borders."""
    pixels = np.moveaxis(pixels, axis, 0)
    inputs = len(pixels)
    running = np.concatenate([np.zeros_like(pixels[:1]), np.cumsum(pixels, axis=0)])
    whole, rest = np.divmod(np.arange(outputs + 1) * inputs, outputs)
    rest = rest.reshape(-1, *[1] * (pixels.ndim - 1))
    at_borders = outputs * running[whole] + rest * pixels[np.minimum(whole, inputs - 1)]
    return np.moveaxis(np.diff(at_borders, axis=0), 0, axis)


def is_image_name(name):
    """True for the endings that are looked for in folders and archives."""
    return pathlib.PurePosixPath(name).suffix.lower() in {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
