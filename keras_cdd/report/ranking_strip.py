"""A ranking as one picture: the query, then the results, right ones green and wrong ones red (NumPy and Pillow)."""

import typing

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from keras_cdd.report.shortened import shortened

GREEN, RED, GREY = (26, 140, 70), (205, 45, 45), (120, 120, 120)
PAPER, INK, FAINT = (255, 255, 255), (25, 25, 25), (95, 95, 95)


class RankedPhoto(typing.NamedTuple):
    """One photo of a ranking.

    Attributes:
        image: uint8 (H, W, 3), or a PIL image.
        caption: lines of text below it; lines that are too long are shortened. Default: none.
        match: True (green frame, tick), False (red frame, cross) or None, the default, if unknown (grey frame).
    """

    image: object
    caption: tuple[str, ...] = ()
    match: bool | None = None


def ranking_strip(query, results, title="", tile=144):
    """Draws a row: the query on the left, the results in order on its right.

    Args:
        query: `RankedPhoto` of the query.
        results: list of `RankedPhoto`, best first; may be empty.
        title: line of text above the row. Default: none.
        tile: width and height of a photo with its frame, in pixels. Default: 144.

    Returns:
        PIL image, RGB.

    Raises:
        ValueError: if an image is not uint8 (H, W, 3).
    """
    gap, line = max(4, tile // 16), max(11, tile // 10)
    font = ImageFont.load_default(line)
    photos = [query, *results]
    lines = max(len(photo.caption) for photo in photos)
    top = gap + (line + gap if title else 0)
    # Three extra gaps set the query apart.
    lefts = [gap] + [tile + 4 * gap + (tile + gap) * number for number in range(len(results))]
    height = top + tile + lines * (line + gap // 2) + 2 * gap
    picture = Image.new("RGB", (max(lefts[-1] + tile, tile + gap) + gap, height), PAPER)
    draw = ImageDraw.Draw(picture)
    if title:
        draw.text((gap, gap // 2), _fitting(title, font, picture.width - 2 * gap), INK, font)
    for left, photo in zip(lefts, photos, strict=True):
        _draw_photo(picture, (left, top), tile, photo, framed=photo is not query)
        for number, text in enumerate(photo.caption):
            place = (left, top + tile + gap // 2 + number * (line + gap // 2))
            draw.text(place, _fitting(text, font, tile), FAINT if number else INK, font)
    return picture


def _draw_photo(picture, place, tile, photo, framed):
    (left, top), border = place, max(3, tile // 24)
    colour = {True: GREEN, False: RED, None: GREY}[photo.match] if framed else INK
    draw = ImageDraw.Draw(picture)
    draw.rectangle((left, top, left + tile - 1, top + tile - 1), PAPER, colour, border if framed else 1)
    inner = tile - (2 * border + 2 if framed else 2)
    image = _fitted(photo.image, inner)
    picture.paste(image, (left + (tile - image.width) // 2, top + (tile - image.height) // 2))
    if framed and photo.match is not None:
        _draw_badge(draw, (left + tile, top), max(12, tile // 7), colour, photo.match)


def _draw_badge(draw, corner, size, colour, match):
    """A tick or a cross in the upper right corner, for people who cannot tell green from red."""
    left, top = corner[0] - size, corner[1]
    draw.rectangle((left, top, left + size - 1, top + size - 1), colour)

    def at(x, y):
        return (left + x * size, top + y * size)

    width = max(2, size // 7)
    if match:
        draw.line([at(0.22, 0.52), at(0.42, 0.72), at(0.78, 0.28)], PAPER, width, "curve")
    else:
        draw.line([at(0.27, 0.27), at(0.73, 0.73)], PAPER, width)
        draw.line([at(0.27, 0.73), at(0.73, 0.27)], PAPER, width)


def _fitted(image, side):
    """The image, scaled to fit into a square of this side; its aspect ratio is kept."""
    if not isinstance(image, Image.Image):
        if getattr(image, "dtype", None) != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"A photo of a ranking must be uint8 (H, W, 3). Received: {_described(image)}")
        image = Image.fromarray(image)
    image = image.convert("RGB")
    scale = side / max(image.size)
    size = tuple(max(1, round(length * scale)) for length in image.size)
    return image.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)


def _described(image):
    return f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__


def _fitting(text, font, width):
    """The text, shortened to a width in pixels."""
    return shortened(text, lambda shown: font.getlength(shown) <= width)
