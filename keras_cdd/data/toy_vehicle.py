"""Drawings of toy vehicles from the side, with all that identifies them (Pillow and NumPy)."""

import functools
import math

import numpy as np
from PIL import Image, ImageDraw

SIDE = 128
PAINTS = (
    (196, 40, 36),
    (32, 74, 160),
    (226, 226, 222),
    (44, 46, 50),
    (150, 154, 158),
    (40, 120, 70),
    (224, 180, 40),
)
TRIMS = ((240, 240, 240), (24, 24, 28), (230, 120, 20), (250, 215, 60), (60, 150, 220), (160, 40, 120))
# Per body: start and end of the cabin (0 is the tail, 1 the nose), and the slant of its windows.
BODIES = {
    "saloon": (0.18, 0.70, 0.10),
    "hatchback": (0.03, 0.70, 0.12),
    "estate": (0.02, 0.68, 0.05),
    "van": (0.01, 0.88, 0.06),
    "pickup": (0.40, 0.72, 0.05),
    "coupe": (0.24, 0.66, 0.16),
    "bus": (0.01, 0.98, 0.02),
}


@functools.lru_cache(maxsize=4096)
def draw_vehicle(seed, identity):
    """Draws a vehicle as an RGBA picture (128 x 128) on a transparent background, with its nose to the right.

    Vehicles share a few paints and bodies; they differ in proportions, wheels, windows, stripes and signs.
    """
    rng = np.random.default_rng([seed, 1, identity])
    picture = Image.new("RGBA", (SIDE, SIDE))
    draw = ImageDraw.Draw(picture)
    paint = PAINTS[rng.integers(len(PAINTS))]
    radius = rng.uniform(8, 13)
    length, low, high = rng.uniform(86, 114), rng.uniform(16, 24), rng.uniform(12, 23)
    box = ((SIDE - length) / 2, 92 - radius * 0.6 - low, (SIDE + length) / 2, 92 - radius * 0.6)
    _draw_cabin(draw, rng, box, high, paint)
    draw.rounded_rectangle(box, rng.uniform(2, 8), fill=paint)
    _draw_trim(draw, rng, box)
    _draw_sign(draw, rng, box)
    _draw_wheels(draw, rng, box, radius)
    return picture


def _pick(rng, choices):
    return choices[rng.integers(len(choices))]


def _draw_cabin(draw, rng, box, high, paint):
    left, top, right, _ = box
    length = right - left
    begin, end, lean = BODIES[_pick(rng, tuple(BODIES))]
    begin, end = left + length * begin, left + length * (end + rng.uniform(-0.05, 0.02))
    lean_back, lean_front = length * lean * rng.uniform(0.4, 1.0), length * (lean + rng.uniform(0.0, 0.05))
    roof = top - high
    colour = _pick(rng, (paint, paint, paint, *TRIMS[:2]))
    if rng.random() < 0.3:
        draw.rectangle((begin + lean_back, roof - 3, end - lean_front, roof), fill=_pick(rng, TRIMS))
    draw.polygon([(begin, top + 6), (begin + lean_back, roof), (end - lean_front, roof), (end, top + 6)], fill=colour)
    glass = tuple(int(v) for v in rng.uniform((40, 60, 80), (120, 150, 180)))
    sill, lintel, panes, pillar = top - 1, roof + rng.uniform(2, 5), rng.integers(1, 5), rng.uniform(1.5, 4)

    def at(share, height):
        """The point at a share (0..1) of the cabin's length, between its slanted ends."""
        rise = (top - height) / high
        return begin + lean_back * rise + share * (end - begin - (lean_back + lean_front) * rise), height

    for pane in range(panes):
        first, last = (pane + 0.06 * pillar) / panes, (pane + 1 - 0.06 * pillar) / panes
        draw.polygon([at(first, sill), at(first, lintel), at(last, lintel), at(last, sill)], fill=glass)


def _draw_trim(draw, rng, box):
    left, top, right, bottom = box
    high = bottom - top
    style, trim = rng.integers(5), _pick(rng, TRIMS)
    if style == 1:
        middle = top + high * rng.uniform(0.25, 0.75)
        draw.line((left + 2, middle, right - 2, middle), fill=trim, width=int(rng.integers(2, 6)))
    elif style == 2:
        draw.rectangle((left, bottom - high * rng.uniform(0.25, 0.45), right, bottom), fill=trim)
    elif style == 3:
        start, wide = left + (right - left) * rng.uniform(0.1, 0.7), rng.uniform(4, 10)
        draw.polygon([(start, bottom), (start + 8, top), (start + 8 + wide, top), (start + wide, bottom)], fill=trim)
    lamp = top + high * rng.uniform(0.1, 0.4)
    draw.rectangle((right - 5, lamp, right - 1, lamp + rng.uniform(3, 8)), fill=(255, 240, 170))
    draw.rectangle((left + 1, lamp, left + 4, lamp + rng.uniform(3, 8)), fill=(220, 30, 20))


def _draw_sign(draw, rng, box):
    left, top, right, bottom = box
    shape, colour, size = rng.integers(5), _pick(rng, TRIMS), rng.uniform(4, 7)
    x, y = left + (right - left) * rng.uniform(0.3, 0.7), (top + bottom) / 2 + rng.uniform(-2, 2)
    if shape == 1:
        draw.ellipse((x - size, y - size, x + size, y + size), fill=colour)
    elif shape == 2:
        draw.rectangle((x - size * 1.8, y - size * 0.7, x + size * 1.8, y + size * 0.7), fill=colour)
    elif shape == 3:
        draw.polygon([(x - size, y + size), (x, y - size), (x + size, y + size)], fill=colour)


def _draw_wheels(draw, rng, box, radius):
    left, _, right, _ = box
    y, rim, spokes = (
        92 - radius,
        _pick(rng, ((200, 200, 204), (120, 120, 124), *TRIMS[:3])),
        rng.integers(2, 7),
    )
    inner = radius * rng.uniform(0.45, 0.75)
    for x in (
        left + (right - left) * rng.uniform(0.16, 0.26),
        left + (right - left) * rng.uniform(0.74, 0.84),
    ):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(20, 20, 22))
        draw.ellipse((x - inner, y - inner, x + inner, y + inner), fill=rim)
        for spoke in range(spokes):
            angle = 2 * math.pi * spoke / spokes
            draw.line((x, y, x + inner * math.cos(angle), y + inner * math.sin(angle)), fill=(60, 60, 64), width=2)
