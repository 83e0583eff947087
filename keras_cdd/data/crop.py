"""Shifts by whole pixels, mirroring and erasing, without resampling (NumPy)."""

import numpy as np


def crop(images, down, right, mirrored, background):
    """Shifts every image by whole pixels and mirrors some.

    An output pixel (y, x) is the input pixel (y - down, x - right), or (y - down, width - 1 - (x - right)) in a
    mirrored image.

    Args:
        images: (N, H, W, 3) of any number type.
        down, right: integer arrays (N,), shifts in pixels.
        mirrored: bool (N,).
        background: (3,) of the images' type, the colour of uncovered borders.

    Returns:
        A new array like `images`.
    """
    height, width = images.shape[1:3]
    moved = np.empty_like(images)
    for image, result, y, x, mirror in zip(images, moved, down.tolist(), right.tolist(), mirrored, strict=True):
        (to_y, from_y), (to_x, from_x) = _overlap(height, y), _overlap(width, x)
        source = image[:, ::-1] if mirror else image
        _paint(result[: to_y.start], background)
        _paint(result[to_y.stop :], background)
        _paint(result[to_y, : to_x.start], background)
        _paint(result[to_y, to_x.stop :], background)
        if mirror:
            # Channel by channel, because copying groups of three bytes backwards is much slower.
            for channel in range(3):
                result[to_y, to_x, channel] = source[from_y, from_x, channel]
        else:
            result[to_y, to_x] = source[from_y, from_x]
    return moved


def erase(images, rows, columns, background):
    """Paints one rectangle in every image, in place.

    Args:
        images: (N, H, W, 3).
        rows, columns: bool (N, H) and (N, W), each True in one contiguous range or nowhere; the rectangle is where both
            are True.
        background: (3,) of the images' type.
    """
    top, left = rows.argmax(axis=1), columns.argmax(axis=1)
    bottom, right = top + rows.sum(axis=1), left + columns.sum(axis=1)
    for image, y, x, y_end, x_end in zip(images, top, left, bottom, right, strict=True):
        _paint(image[y:y_end, x:x_end], background)


def _overlap(side, move):
    """Slices of output and input that correspond after a shift along an axis of `side` pixels."""
    move = max(-side, min(side, move))
    return slice(max(move, 0), side + min(move, 0)), slice(max(-move, 0), side - max(move, 0))


def _paint(pixels, colour):
    for channel, value in enumerate(colour):
        pixels[..., channel] = value
