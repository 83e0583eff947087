"""Synthetic photos of toy vehicles: adds viewpoint, background and noise to a drawing (Pillow and NumPy)."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from keras_cdd.data.image import register_source
from keras_cdd.data.toy_vehicle import SIDE, draw_vehicle
from keras_cdd.errors import UserError

SCHEME = "synthetic"


def photo_path(seed, identity, camera, shot):
    """The path of a photo for `read_image`."""
    return f"{SCHEME}://{seed}/{identity}/{camera}/{shot}"


def take_photo(path):
    """Draws the photo with the path `synthetic://seed/identity/camera/shot`.

    Returns:
        uint8 (64, 64, 3), always the same for a path.

    Raises:
        UserError: if the path has another form.
    """
    try:
        seed, identity, camera, shot = (int(part) for part in path.removeprefix(f"{SCHEME}://").split("/"))
    except ValueError:
        raise UserError(f"A synthetic image is synthetic://seed/identity/camera/shot. Received: {path}") from None
    place = np.random.default_rng([seed, 2, camera])
    chance = np.random.default_rng([seed, 3, identity, camera, shot])
    vehicle = draw_vehicle(seed, identity)
    view = _viewpoint(place, chance)
    seen = vehicle.transform((SIDE, SIDE), Image.Transform.PERSPECTIVE, view, Image.Resampling.BILINEAR)
    picture = _background(place, chance)
    picture.paste(seen, (0, 0), seen)
    if chance.random() < 0.35:
        _occlude(picture, chance)
    picture = picture.reduce(2).filter(ImageFilter.GaussianBlur(chance.uniform(0.0, 0.5) + place.uniform(0.0, 0.5)))
    return _expose(np.asarray(picture, np.float32), place, chance)


def _viewpoint(place, chance):
    """The eight numbers of the perspective transform from points of the photo to points of the drawing."""
    facing = -1.0 if place.random() < 0.5 else 1.0
    squeeze = 1.0 / np.clip(place.uniform(0.7, 1.0) + chance.normal(0, 0.04), 0.6, 1.05)
    zoom = 1.0 / np.clip(place.uniform(1.0, 1.3) + chance.normal(0, 0.06), 0.9, 1.4)
    tilt = place.uniform(-0.2, 0.2) + chance.normal(0, 0.04)
    depth = (place.uniform(-0.25, 0.25) + chance.normal(0, 0.05)) / (SIDE / 2)
    about = np.array([[facing * squeeze * zoom, 0.0, 0.0], [tilt, zoom, 0.0], [depth, 0.0, 1.0]])
    here, there = np.eye(3), np.eye(3)
    there[:2, 2] = SIDE / 2, SIDE * 0.52
    here[:2, 2] = -SIDE / 2 - chance.normal(0, 5), -SIDE / 2 - chance.normal(0, 5)
    matrix = there @ about @ here
    return tuple((matrix / matrix[2, 2]).ravel()[:8])


def _background(place, chance):
    sky, ground = _grey(place, 110, 220), _grey(place, 60, 150)
    horizon = int(SIDE * (place.uniform(0.3, 0.6) + chance.normal(0, 0.03)))
    picture = Image.new("RGB", (SIDE, SIDE), sky)
    draw = ImageDraw.Draw(picture)
    for _ in range(4):
        left, high = chance.uniform(-20, SIDE), chance.uniform(10, 50)
        draw.rectangle((left, horizon - high, left + chance.uniform(10, 50), horizon), fill=_grey(chance, 60, 200))
    draw.rectangle((0, horizon, SIDE, SIDE), fill=ground)
    kerb = horizon + chance.uniform(20, 60)
    draw.line((0, kerb, SIDE, kerb + chance.uniform(-10, 10)), fill=_grey(chance, 60, 220), width=3)
    return picture


def _occlude(picture, chance):
    left, wide = chance.uniform(0, SIDE), chance.uniform(4, 22)
    top = chance.uniform(0, SIDE * 0.6)
    ImageDraw.Draw(picture).rectangle((left, top, left + wide, SIDE), fill=_grey(chance, 20, 200))


def _expose(pixels, place, chance):
    light = place.uniform(0.7, 1.15) * chance.uniform(0.85, 1.15) * place.uniform(0.9, 1.1, 3)
    slope = np.linspace(-1, 1, len(pixels))[:, None, None] * chance.uniform(-0.15, 0.15)
    noise = chance.normal(0, 5, pixels.shape)
    return np.clip(pixels * light * (1 + slope) + noise, 0, 255).astype(np.uint8)


def _grey(rng, darkest, brightest):
    """A muted colour, so that walls and streets differ from the paint of vehicles."""
    return tuple(int(value) for value in rng.uniform(darkest, brightest) + rng.uniform(-18, 18, 3))


register_source(SCHEME, take_photo)
