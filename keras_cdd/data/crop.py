"""Moves by whole pixels, mirrors and painted rectangles: copies of bytes, no resampling (NumPy)."""

import numpy as np


def crop(images, down, right, mirrored, background):
    """Moves every image by whole pixels and mirrors some.

    An output pixel (y, x) is the input pixel (y - down, x - right); a mirrored image is the same with the columns
    counted from the right: (y - down, width - 1 - (x - right)).

    Args:
        images: (N, H, W, 3) of any number type.
        down, right: integers (N,), pixels.
        mirrored: bool (N,).
        background: (3,) of the images' type, shown where an image has moved away.

    Returns:
        a new array like `images`.
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
            # Channel by channel: backwards through groups of three bytes takes far longer.
            for channel in range(3):
                result[to_y, to_x, channel] = source[from_y, from_x, channel]
        else:
            result[to_y, to_x] = source[from_y, from_x]
    return moved


def erase(images, rows, columns, background):
    """Paints one rectangle of every image, in place.

    Args:
        images: (N, H, W, 3).
        rows, columns: bool (N, H) and (N, W), each True in one run or nowhere; the rectangle is where both are.
        background: (3,) of the images' type.
    """
    top, left = rows.argmax(axis=1), columns.argmax(axis=1)
    bottom, right = top + rows.sum(axis=1), left + columns.sum(axis=1)
    for image, y, x, y_end, x_end in zip(images, top, left, bottom, right, strict=True):
        _paint(image[y:y_end, x:x_end], background)


def _overlap(side, move):
    """What an axis of `side` pixels shows after a move: slices of the output and of the input."""
    move = max(-side, min(side, move))
    return slice(max(move, 0), side + min(move, 0)), slice(max(-move, 0), side - max(move, 0))


def _paint(pixels, colour):
    for channel, value in enumerate(colour):
        pixels[..., channel] = value
