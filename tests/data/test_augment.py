"""Augmentation: seeded, off by default, and each change as documented."""

import numpy as np
import pytest
import tensorflow as tf

from keras_cdd.data.augment import Augmentation
from keras_cdd.data.colour import ColourChange

BLUE = (10, 20, 200)


def images(count=16, height=9, width=12):
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3)).astype("float32")


def changed(batch, seed=(1, 2), **options):
    return Augmentation(background=BLUE, **options)(tf.constant(batch), tf.constant(seed)).numpy()


def test_nothing_changes_by_default():
    np.testing.assert_array_equal(changed(images()), images())


@pytest.mark.parametrize(
    "options", [{"shift": 3}, {"rotation": 20.0}, {"scale": (0.8, 1.2)}, {"flip": True}, {"erasing": 0.5}]
)
def test_the_same_seed_gives_the_same_changes_within_the_range_of_pixels(options):
    first = changed(images(), **options)
    np.testing.assert_array_equal(first, changed(images(), **options))
    assert (first != changed(images(), (1, 3), **options)).any()
    assert first.shape == images().shape and first.dtype == np.float32
    assert first.min() >= -1e-3 and first.max() <= 255.001


def test_a_shift_moves_whole_pixels_and_shows_the_background():
    batch = images(64)
    padded = np.broadcast_to(np.float32(BLUE), (64, 9 + 4, 12 + 4, 3)).copy()
    padded[:, 2:-2, 2:-2] = batch
    moves = set()
    for image, original in zip(changed(batch, shift=2), padded, strict=True):
        fits = [
            (y, x) for y in range(5) for x in range(5) if np.allclose(image, original[y : y + 9, x : x + 12], atol=1e-3)
        ]
        assert len(fits) == 1
        moves.update(fits)
    assert {y for y, _ in moves} == {x for _, x in moves} == set(range(5))


def resampled(batch, seed, shift, flip, erasing):
    """The same changes drawn from the same numbers, by a projective transform and a mask over all pixels."""
    seeds = tf.unstack(tf.random.split(tf.constant(seed), 4))
    count, height, width, _ = batch.shape
    _, _, dx, dy = tf.random.stateless_uniform([4, count], seeds[0], -1.0, 1.0).numpy()
    matrices = np.zeros((count, 8), np.float32)
    matrices[:, 0] = matrices[:, 4] = 1.0
    matrices[:, 2], matrices[:, 5] = -np.round(dx * (shift + 0.499)), -np.round(dy * (shift + 0.499))
    if flip:
        mirrored = tf.random.stateless_uniform([count], seeds[1]).numpy() < 0.5
        matrices[mirrored, 0] = -1.0
        matrices[mirrored, 2] = width - 1 - matrices[mirrored, 2]
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=batch - np.float32(BLUE),
        transforms=matrices,
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    ).numpy()
    area, ratio, top, left = tf.random.stateless_uniform([4, count], seeds[3])
    area, ratio = 0.02 + 0.23 * area, tf.exp((2.0 * ratio - 1.0) * np.log(3.0))
    chosen = tf.random.stateless_uniform([count], seeds[2]).numpy() < erasing
    sides = []
    for axis, (side, start, length) in enumerate(((height, top, area * ratio), (width, left, area / ratio))):
        length = np.minimum(np.sqrt(length), 1.0)[:, None]
        start = start.numpy()[:, None] * (1.0 - length)
        middle = (np.arange(side, dtype=np.float32) + 0.5) / side
        inside = (middle >= start) & (middle < start + length)
        sides.append(np.expand_dims(inside, 2 - axis))
    moved[sides[0] & sides[1] & chosen[:, None, None]] = 0.0
    return moved + np.float32(BLUE)


@pytest.mark.parametrize("shift, flip, erasing", [(3, True, 0.5), (3, False, 0.0), (0, True, 0.0), (0, False, 1.0)])
@pytest.mark.parametrize("size", [(9, 12), (2, 2), (31, 16)])
def test_crops_are_what_a_projective_transform_gives(shift, flip, erasing, size):
    batch = images(32, *size)
    for seed in ([1, 2], [3, 4]):
        expected = resampled(batch, seed, shift, flip, erasing)
        options = {"shift": shift, "flip": flip, "erasing": erasing}
        np.testing.assert_array_equal(changed(batch, seed, **options), expected)
        np.testing.assert_array_equal(changed(batch.astype(np.uint8), seed, **options), expected)


def test_a_graph_changes_images_as_eager_execution_does():
    batch = images().astype(np.uint8)
    augmentation = Augmentation(shift=2, flip=True, erasing=0.5, background=BLUE)
    found = tf.function(augmentation)(batch, tf.constant([1, 2]))
    assert found.shape.as_list() == list(batch.shape)
    np.testing.assert_array_equal(found, changed(batch, shift=2, flip=True, erasing=0.5))


def test_a_shift_beyond_the_image_leaves_the_background():
    batch = images(64, 2, 3)
    result = changed(batch, shift=40)
    assert (result == np.float32(BLUE)).all(axis=(1, 2, 3)).any()
    np.testing.assert_array_equal(result, resampled(batch, (1, 2), 40, False, 0.0))


def test_a_flip_mirrors_about_half_of_the_images():
    batch = images(64)
    result = changed(batch, flip=True)
    mirrored = np.isclose(result, batch[:, :, ::-1], atol=1e-3).all(axis=(1, 2, 3))
    same = np.isclose(result, batch, atol=1e-3).all(axis=(1, 2, 3))
    assert (mirrored ^ same).all()
    assert 16 < mirrored.sum() < 48


def test_rotation_and_scale_turn_about_the_centre():
    batch = np.zeros((8, 21, 21, 3), "float32")
    batch[:, 9:12, 9:12] = 255.0
    for options in ({"rotation": 30.0}, {"scale": (0.8, 1.25)}):
        result = Augmentation(**options)(tf.constant(batch), tf.constant([0, 0])).numpy()[..., 0]
        rows = (result.sum(axis=2) * np.arange(21)).sum(axis=1) / result.sum(axis=(1, 2))
        np.testing.assert_allclose(rows, 10.0, atol=1e-3)
    # A factor f on the subject is f^2 on its area, 0.64 to 1.56, give or take resampling.
    areas = result.sum(axis=(1, 2)) / batch[0, ..., 0].sum()
    assert 0.55 < areas.min() < 0.95 < areas.max() < 1.7


def test_erasing_paints_one_rectangle_of_the_background():
    batch = np.full((64, 32, 32, 3), 255.0, "float32")
    holes = (changed(batch, erasing=0.5) == np.float32(BLUE)).all(axis=-1)
    erased = holes.any(axis=(1, 2))
    assert 16 < erased.sum() < 48
    for hole in holes[erased]:
        rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
        assert hole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert hole.sum() == (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
        assert 0.01 < hole.mean() < 0.3
    assert (changed(batch, erasing=1.0) == np.float32(BLUE)).all(axis=-1).any(axis=(1, 2)).all()


@pytest.mark.parametrize(
    "options",
    [{"shift": -1}, {"rotation": -1.0}, {"erasing": 1.5}, {"scale": (1.2, 0.8)}, {"scale": (0.0, 1.0)}],
)
def test_impossible_strengths_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Augmentation(**options)


CHANGES = {
    "nothing": {},
    "crops": {"shift": 3, "flip": True, "erasing": 0.5},
    "far crops": {"shift": 20, "flip": True},
    "resampling": {"shift": 2, "flip": True, "rotation": 20.0, "scale": (0.8, 1.2), "erasing": 0.5},
    "all": {"shift": 2, "erasing": 0.5, "random_crop": 0.5, "colour": ColourChange(0.2, 0.2, 0.2, 0.1)},
}


@pytest.mark.parametrize("options", CHANGES.values(), ids=CHANGES)
def test_a_device_makes_the_same_images_of_what_was_drawn(options):
    augmentation, batch = Augmentation(background=BLUE, **options), images().astype("uint8")
    drawn = augmentation.drawn(batch.shape, tf.constant((1, 2)))
    assert all(len(entry) == len(batch) for entry in drawn.values())
    found = augmentation.applied(tf.constant(batch), drawn, on_device=True)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, changed(batch, **options), atol=1e-3)
    if "matrix" not in drawn and "box" not in drawn:
        np.testing.assert_array_equal(found, changed(batch, **options))
