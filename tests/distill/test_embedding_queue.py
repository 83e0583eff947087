"""The ring buffer: order, wrapping, precision, saving."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cdd.distill.embedding_queue import EmbeddingQueue


def numbered(first, count, width=2):
    """Vectors that carry the number of their image."""
    return np.repeat(np.arange(first, first + count, dtype="float32")[:, None], width, axis=1)


def contents(queue, site="a"):
    return queue.rows[site].numpy()[:, 0]


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("sizes", [(3, 3, 3), (5, 4, 1), (1,) * 13, (2, 11, 2), (5, 10, 5)])
def test_row_of_an_image_is_its_number_modulo_capacity(sizes, graph):
    capacity, queue = 5, EmbeddingQueue(5, {"a": 2, "b/c": 3})
    enqueue = queue.enqueue
    if graph:
        enqueue = tf.function(enqueue, reduce_retracing=True)
    expected, seen = np.zeros(capacity), 0
    for size in sizes:
        enqueue({"a": tf.constant(numbered(seen, size)), "b/c": tf.constant(numbered(seen, size, 3))})
        for image in range(seen, seen + size):
            expected[image % capacity] = image
        seen += size
        np.testing.assert_array_equal(contents(queue), expected)
        np.testing.assert_array_equal(contents(queue, "b/c"), expected)
        assert int(queue.filled) == min(seen, capacity)


def test_the_counter_of_an_endless_run_stays_small():
    queue = EmbeddingQueue(4, {"a": 2})
    for step in range(50):
        queue.enqueue({"a": tf.constant(numbered(3 * step, 3))})
        assert int(queue.written) < 8
    assert sorted(contents(queue)) == [146, 147, 148, 149]


def test_a_write_leaves_the_other_rows_alone():
    queue = EmbeddingQueue(6, {"a": 2})
    queue.rows["a"].assign(np.full((6, 2), -1, "float32"))
    queue.enqueue({"a": tf.constant(numbered(7, 2))})
    np.testing.assert_array_equal(contents(queue), [7, 8, -1, -1, -1, -1])


def test_float16_halves_the_memory_and_stays_finite():
    queue = EmbeddingQueue(2, {"a": 3}, dtype="float16")
    queue.enqueue({"a": tf.constant([[1 / 3, 1e6, -1e6]])})
    assert queue.rows["a"].dtype == "float16"
    np.testing.assert_array_equal(queue.rows["a"].numpy()[0], np.float16([1 / 3, 65504, -65504]))


def test_reading_a_written_queue_copies_nothing():
    """A scatter would make every later read a copy of the whole queue."""
    queue = EmbeddingQueue(4, {"a": 2})
    queue.enqueue({"a": tf.constant(numbered(1, 2))})
    first, second = (np.from_dlpack(_Capsule(queue.rows["a"])) for _ in range(2))
    assert first.ctypes.data == second.ctypes.data


class _Capsule:
    """A view of a variable's memory for NumPy."""

    def __init__(self, variable):
        self._tensor = tf.convert_to_tensor(variable)

    def __dlpack__(self, **options):
        return tf.experimental.dlpack.to_dlpack(self._tensor)

    def __dlpack_device__(self):
        return 1, 0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_queue_of_a_mixed_precision_run_is_float32(dtype):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(f"mixed_{dtype}")
    try:
        queue = EmbeddingQueue(2, {"a": 2})
    finally:
        keras.config.set_dtype_policy(before)
    queue.enqueue({"a": tf.cast(numbered(3, 1), dtype)})
    assert queue.rows["a"].dtype == "float32"
    assert contents(queue)[0] == 3


def test_no_gradient_flows_into_the_queue():
    queue, vectors = EmbeddingQueue(2, {"a": 2}), tf.Variable(numbered(1, 2))
    with tf.GradientTape() as tape:
        queue.enqueue({"a": vectors * 1.0})
        value = tf.reduce_sum(queue.rows["a"].value)
    assert tape.gradient(value, vectors) is None
    assert queue.trainable_variables == []


def test_the_queue_survives_config_and_weights():
    queue = EmbeddingQueue(3, {"a": 2, "b": 1}, dtype="float16")
    queue.enqueue({"a": tf.constant(numbered(1, 2)), "b": tf.constant(numbered(1, 2, 1))})
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(queue))
    again.set_weights(queue.get_weights())
    assert again.rows["a"].dtype == "float16" and int(again.filled) == 2
    for site in "ab":
        np.testing.assert_array_equal(contents(again, site), contents(queue, site))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [((0, {"a": 1}), "capacity"), ((2, {}), "channels"), ((2, {"a": 1}, "bfloat16"), "dtype")],
)
def test_wrong_arguments_are_refused(arguments, word):
    with pytest.raises(ValueError, match=f"`{word}`.*Received"):
        EmbeddingQueue(*arguments)


@pytest.mark.parametrize("sites", ["a", "abc"])
def test_a_batch_of_other_sites_is_refused(sites):
    queue = EmbeddingQueue(2, {"a": 2, "b": 2})
    with pytest.raises(ValueError, match="sites.*Received"):
        queue.enqueue({site: tf.constant(numbered(1, 1)) for site in sites})
    assert int(queue.written) == 0
