"""The rules of the gradient reset, against plain NumPy and by hand."""

import numpy as np
import pytest
import tensorflow as tf

from keras_cdd.distill.compression_rule import CompressionRule
from keras_cdd.distill.embedding_queue import EmbeddingQueue
from keras_cdd.distill.gradient_reset import (
    GradientReset,
    nearest_rows,
    reset_mask,
    unimportant_channels,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def normal(rng, *shape):
    return rng.normal(size=shape).astype("float32")


def unimportant_in_numpy(neighbours, student, ratio, alive):
    marked = np.zeros(neighbours.shape, bool)
    living = np.flatnonzero(alive)
    for image, neighbour in np.ndindex(neighbours.shape[:2]):
        contribution = np.abs(neighbours[image, neighbour] * student[image])[living]
        lowest = np.argsort(contribution, kind="stable")[: int(len(living) * ratio)]
        marked[image, neighbour, living[lowest]] = True
    return marked


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_nearest_rows_are_those_of_a_full_sort(rng, metric):
    queue, batch, filled = normal(rng, 20, 6), normal(rng, 4, 6), 13
    if metric == "cosine":
        unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (batch, queue[:filled])]
        distances = -unit[0] @ unit[1].T
    else:
        distances = np.linalg.norm(batch[:, None] - queue[None, :filled], axis=-1)
    expected = np.argsort(distances, axis=1)[:, :5]
    np.testing.assert_array_equal(nearest_rows(queue, filled, batch, 5, metric), expected)


def test_of_equal_rows_the_first_are_the_nearest(rng):
    """Of 36 rows, which the search takes in blocks of 6; every vector is there six times, in several blocks."""
    queue = np.tile(normal(rng, 6, 4), (6, 1))[rng.permutation(36)]
    for metric in ("cosine", "l2"):
        found = nearest_rows(queue, 36, queue[:5], 3, metric).numpy()
        for image, rows in enumerate(found):
            np.testing.assert_array_equal(rows, np.flatnonzero((queue == queue[image]).all(axis=1))[:3])


def test_equal_contributions_are_marked_by_their_index(rng):
    neighbours, student = rng.integers(0, 3, (4, 2, 12)).astype("float32"), np.ones((4, 12), "float32")
    found = unimportant_channels(neighbours, student, 0.5).numpy()
    np.testing.assert_array_equal(found, unimportant_in_numpy(neighbours, student, 0.5, np.ones(12)))


def test_rows_not_yet_filled_are_nobodys_neighbours(rng):
    queue, batch = normal(rng, 6, 3), normal(rng, 2, 3)
    # Unfilled rows that would be the nearest if they were searched.
    queue[2:4] = batch
    found = nearest_rows(queue, 2, batch, 4).numpy()
    assert set(found.ravel()) <= {0, 1}
    np.testing.assert_array_equal(found[:, 2:], found[:, [0, 0]])


@pytest.mark.parametrize("ratio", [0.0, 0.29, 0.5, 0.7, 0.99])
@pytest.mark.parametrize("dead", [(), (0, 3, 4), (1,)])
def test_unimportant_channels_equal_a_loop_over_images(rng, ratio, dead):
    neighbours, student = normal(rng, 3, 2, 10), normal(rng, 3, 10)
    alive = np.ones(10, bool)
    alive[list(dead)] = False
    found = tf.function(unimportant_channels)(neighbours, student, ratio, tf.constant(alive)).numpy()
    np.testing.assert_array_equal(found, unimportant_in_numpy(neighbours, student, ratio, alive))
    assert not found[..., ~alive].any()


@pytest.mark.parametrize(("channels", "ratio"), [(100, 0.29), (400, 0.58), (10, 0.7), (50, 0.58), (1, 0.99)])
def test_the_count_is_pythons(channels, ratio):
    found = unimportant_channels(tf.ones((1, 1, channels)), tf.ones((1, channels)), ratio)
    # All contributions tie, so the first channels are marked.
    np.testing.assert_array_equal(found[0, 0], np.arange(channels) < int(channels * ratio))


def test_nothing_is_marked_where_nothing_lives():
    found = unimportant_channels(tf.ones((2, 1, 4)), tf.ones((2, 4)), 0.5, tf.zeros(4, tf.bool))
    assert not found.numpy().any()


def test_reset_mask_by_hand():
    unimportant = tf.constant(np.array([[[1, 1, 0, 0], [1, 1, 0, 0]], [[1, 0, 1, 0], [1, 1, 0, 0]]], bool))
    mask, frequency = reset_mask(unimportant)
    np.testing.assert_array_equal(mask, [0, 1, 1, 1])
    np.testing.assert_array_equal(frequency, [1, 0.75, 0.25, 0])


def test_indicator_gradient_by_hand():
    kernel = np.array([[3.0, 0.0, 1.0], [4.0, 0.0, 0.0]], "float32").reshape(1, 1, 2, 3)
    reset = make_reset(channels=3)
    reset.masks["a"].assign([1.0, 1.0, 0.0])
    masked = reset.indicator_gradient("a", kernel, np.ones_like(kernel), 1.0)
    gradient = CompressionRule("lasso", 0.1).indicator_gradient("a", kernel, masked, 1.0)
    # Kept: task and compression; an exact zero: the task alone; reset: compression alone.
    np.testing.assert_allclose(gradient[0, 0], [[1.06, 1, 0.1], [1.08, 1, 0]], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_low_precision_is_computed_in_float32(rng, dtype):
    queue, batch, student = (tf.cast(normal(rng, n, 8), dtype) for n in (5, 3, 3))
    indices = nearest_rows(tf.cast(queue, tf.float32), 5, batch, 2)
    np.testing.assert_array_equal(indices, nearest_rows(queue, 5, batch, 2))
    neighbours = tf.gather(tf.cast(queue, tf.float32), indices)
    expected = unimportant_channels(neighbours, tf.cast(student, tf.float32), 0.5)
    np.testing.assert_array_equal(unimportant_channels(neighbours, student, 0.5), expected)


def make_reset(channels=8, kept=None, capacity=16, **settings):
    queue = EmbeddingQueue(capacity, {"a": channels})
    return GradientReset(queue, {"a": kept or range(channels)}, **settings)


def test_the_mask_only_grows_and_counts_are_frequencies(rng):
    reset = make_reset(ratio=0.75)
    update, before = tf.function(reset.update), reset.masks["a"].numpy()
    for batch in range(1, 13):
        update({"a": normal(rng, 3, 8)}, {"a": normal(rng, 3, 8)})
        mask, counts = reset.masks["a"].numpy(), reset.counts["a"].numpy()
        assert set(mask) <= {0.0, 1.0} and (mask <= before).all()
        # Every image and neighbour marks int(8 * 0.75) channels.
        np.testing.assert_allclose(counts.sum(), 6 * batch, rtol=1e-5)
        assert float(reset.updates) == batch
        before = mask
    assert 0 < mask.sum() < 8


def test_a_first_image_is_judged_by_itself_alone(rng):
    teacher, student = normal(rng, 1, 8), normal(rng, 1, 8)
    reset = make_reset(neighbours=2)
    reset.update({"a": teacher}, {"a": student})
    lowest = np.argsort(np.abs(teacher[0] * student[0]))[:4]
    np.testing.assert_array_equal(np.flatnonzero(reset.masks["a"].numpy() == 0), np.sort(lowest))


def test_a_cut_student_is_judged_by_the_teachers_same_channels(rng):
    kept = [1, 2, 5, 7]
    teacher = normal(rng, 5, 8)
    student = normal(rng, 5, 4)
    reset = make_reset(kept=kept, metric="l2")
    reset.update({"a": teacher}, {"a": student})
    # Retrieval sees all the teacher's channels, the ranking the kept ones.
    indices = np.argsort(np.linalg.norm(teacher[:, None] - teacher[None], axis=-1), axis=1)[:, :2]
    marked = unimportant_in_numpy(teacher[indices][..., kept], student, 0.5, np.ones(4, bool))
    np.testing.assert_allclose(reset.counts["a"], marked.mean(axis=(0, 1)), rtol=1e-6)
    np.testing.assert_array_equal(reset.masks["a"], ~marked.all(axis=(0, 1)))


def test_dead_channels_are_never_counted(rng):
    reset, alive = make_reset(ratio=0.9), np.array([1, 1, 0, 1, 1, 0, 1, 1], bool)
    for _ in range(5):
        reset.update({"a": normal(rng, 2, 8)}, {"a": normal(rng, 2, 8) * alive}, {"a": tf.constant(alive)})
    assert not reset.counts["a"].numpy()[~alive].any()
    assert reset.masks["a"].numpy()[~alive].all()


def test_a_float16_queue_finds_the_same_neighbours(rng):
    teacher, student = normal(rng, 6, 8), normal(rng, 6, 8)
    # Numbers float16 holds exactly leave both queues with the same contents.
    teacher = teacher.astype("float16").astype("float32")
    masks = []
    for dtype in ("float32", "float16"):
        reset = GradientReset(EmbeddingQueue(9, {"a": 8}, dtype), {"a": range(8)}, ratio=0.9)
        reset.update({"a": teacher}, {"a": student})
        masks.append(reset.masks["a"].numpy())
    np.testing.assert_array_equal(*masks)


def test_no_gradient_flows_out_of_an_update(rng):
    reset, student = make_reset(), tf.Variable(normal(rng, 2, 8))
    with tf.GradientTape() as tape:
        reset.update({"a": tf.constant(normal(rng, 2, 8))}, {"a": student * 1.0})
        value = tf.reduce_sum(reset.masks["a"] + reset.counts["a"])
    assert tape.gradient(value, student) is None


@pytest.mark.parametrize(
    "settings", [{"ratio": 1.0}, {"ratio": -0.1}, {"neighbours": 0}, {"neighbours": 17}, {"metric": "dot"}]
)
def test_wrong_settings_are_refused(settings):
    with pytest.raises(ValueError, match="Received"):
        make_reset(**settings)
