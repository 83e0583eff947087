"""Changes of the light and random crops: seeded, within pixels' range, and each as documented."""

import colorsys

import numpy as np
import pytest
import tensorflow as tf

from keras_cdd.data.augment import Augmentation
from keras_cdd.data.colour import YIQ, ColourChange
from keras_cdd.data.records import ImageRecord, RetrievalDataset
from keras_cdd.data.resized_crop import crop_boxes, resized_crop
from keras_cdd.data.training_data import TrainingData
from keras_cdd.settings.config import DataConfig

SEED = [1, 2]
STRENGTHS = [{"brightness": 0.4}, {"contrast": 0.4}, {"saturation": 0.4}, {"hue": 0.2}]


def images(count=16, low=0, high=256):
    return np.random.default_rng(0).integers(low, high, (count, 9, 12, 3)).astype(np.uint8)


def changed(batch, seed=SEED, **strengths):
    return ColourChange(**strengths)(batch, tf.constant(seed)).numpy()


def luma(batch):
    return batch.astype("float64") @ YIQ[0]


@pytest.mark.parametrize("strength", STRENGTHS)
def test_the_same_seed_gives_the_same_changes_in_a_graph_too(strength):
    augmentation, batch = Augmentation(colour=ColourChange(**strength), flip=True), images()
    first = augmentation(batch, tf.constant(SEED)).numpy()
    np.testing.assert_array_equal(first, augmentation(batch, tf.constant(SEED)).numpy())
    found = tf.function(augmentation)(batch, tf.constant(SEED))
    assert found.shape.as_list() == list(batch.shape)
    np.testing.assert_allclose(found, first, atol=1e-3)
    assert first.dtype == np.float32 and first.min() >= 0 and first.max() <= 255
    other = augmentation(batch, tf.constant([1, 3])).numpy()
    assert (np.abs(first - other).max(axis=(1, 2, 3)) > 0.1).all()


def test_each_image_has_its_own_brightness():
    batch = images(64, low=1, high=150)
    factors = changed(batch, brightness=0.5) / batch
    np.testing.assert_allclose(factors, np.broadcast_to(factors[:, :1, :1, :1], batch.shape), rtol=1e-3)
    factors = factors[:, 0, 0, 0]
    assert 0.5 <= factors.min() < 0.6 and 1.4 < factors.max() <= 1.5


def test_contrast_acts_on_the_difference_from_the_mean_luma():
    batch = images(64, low=80, high=176)
    mean = luma(batch).mean(axis=(1, 2))[:, None, None, None]
    factors = (changed(batch, contrast=0.5) - mean)[..., 0].std(axis=(1, 2)) / (batch - mean)[..., 0].std(axis=(1, 2))
    expected = mean + factors[:, None, None, None] * (batch - mean)
    np.testing.assert_allclose(changed(batch, contrast=0.5), expected, atol=0.05)
    assert 0.5 <= factors.min() < 0.6 and 1.4 < factors.max() <= 1.51


def test_saturation_and_hue_keep_the_luma_and_leave_grey_alone():
    batch = images(32, low=100, high=156)
    for strength in ({"saturation": 0.5}, {"hue": 0.1}):
        result = changed(batch, **strength)
        np.testing.assert_allclose(luma(result), luma(batch), atol=0.1)
        assert np.abs(result - batch).max() > 3
    grey = np.repeat(images()[..., :1], 3, axis=-1)
    np.testing.assert_allclose(changed(grey, saturation=1.0, hue=0.5), grey, atol=0.1)


def test_a_hue_turns_by_at_most_its_strength_in_both_directions():
    red = np.broadcast_to(np.uint8([150, 60, 60]), (64, 4, 4, 3))
    hues = [colorsys.rgb_to_hsv(*image[0, 0] / 255.0)[0] for image in changed(red, hue=0.1)]
    turns = [hue if hue < 0.5 else hue - 1.0 for hue in hues]
    # The circle of YIQ is not quite that of HSV.
    assert -0.16 < min(turns) < -0.05 and 0.05 < max(turns) < 0.16


def ramp(count, side=33):
    """Images whose channels are the row, the column and 0."""
    rows, columns = np.mgrid[:side, :side].astype("float32")
    return np.repeat(np.stack([rows, columns, 0.0 * rows], axis=-1)[None], count, axis=0)


def test_a_crop_is_a_rectangle_of_its_area_inside_the_image():
    result = resized_crop(ramp(256), crop_boxes(256, 0.3, tf.constant(SEED))).numpy()
    high, wide = result[:, -1, 0, 0] - result[:, 0, 0, 0], result[:, 0, -1, 1] - result[:, 0, 0, 1]
    area, ratio = high * wide / 32**2, high / wide
    assert 0.2999 < area.min() < 0.35 and 0.95 < area.max() <= 1.0001
    assert 0.74 < ratio.min() < 0.8 and 1.25 < ratio.max() < 1.34
    assert result.min() >= 0 and result[..., :2].max() <= 32
    expected = result[:, :1, :1] + ramp(256) / 32 * np.stack([high, wide, 0 * wide], axis=-1)[:, None, None]
    np.testing.assert_allclose(result, expected, atol=1e-3)


def test_random_crops_are_seeded_and_off_at_1():
    batch = images()
    crop = Augmentation(random_crop=0.5)
    first = crop(batch, tf.constant(SEED)).numpy()
    np.testing.assert_array_equal(first, crop(batch, tf.constant(SEED)).numpy())
    assert (first != crop(batch, tf.constant([1, 3])).numpy()).any(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(Augmentation(random_crop=1.0)(batch, tf.constant(SEED)), batch)


def test_other_changes_are_drawn_as_without_colours():
    """A run without these options repeats the batches of earlier versions."""
    batch = np.full((16, 9, 12, 3), 128, np.uint8)
    holes = [
        (Augmentation(erasing=0.5, random_crop=crop)(batch, tf.constant(SEED)).numpy() == 0).all(axis=-1)
        for crop in (1.0, 0.5)
    ]
    assert holes[0].any()
    np.testing.assert_array_equal(*holes)


@pytest.mark.parametrize("options", [{"brightness": -0.1}, {"contrast": 1.1}, {"saturation": 2.0}, {"hue": 0.6}])
def test_impossible_strengths_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ColourChange(**options)


def test_an_impossible_crop_is_refused():
    with pytest.raises(ValueError, match="random_crop"):
        Augmentation(random_crop=0.0)


@pytest.mark.parametrize("inverted", [False, True])
def test_drawings_in_one_colour_keep_it(inverted, capsys):
    dataset = RetrievalDataset("letters", (ImageRecord("a.png", 1),), (), (), inverted=inverted)
    data = TrainingData(dataset, DataConfig(brightness=0.2, hue=0.1), 0)
    assert data.colour == (ColourChange() if inverted else ColourChange(brightness=0.2, hue=0.1))
    assert data.colour is data.colour
    said = "Data set 'letters' shows drawings in one colour: colours stay as they are.\n"
    assert capsys.readouterr().out == (said if inverted else "")
