"""What the replicas of a step tell one another: the rows of a batch, sums, and the variables of which each has a copy.

Without several replicas, or outside of a step, every function returns what it is given.
"""

import math
from typing import Any

import keras
import tensorflow as tf


def several() -> bool:
    """Whether this is, or traces, a step of one of several replicas."""
    strategy = tf.distribute.get_strategy()
    return strategy.num_replicas_in_sync > 1 and tf.distribute.get_replica_context() is not None


def total(values: Any) -> Any:
    """Sums floating-point tensors over all replicas, in one message; differentiable.

    Args:
        values: nested structure of tensors of one type, of the same shapes on all replicas.
    """
    if not several():
        return values
    flat = [tf.convert_to_tensor(value) for value in keras.tree.flatten(values)]
    message = _summed(tf.concat([tf.reshape(x, [-1]) for x in flat], axis=0))
    sums = tf.split(message, [math.prod(x.shape) for x in flat])
    return keras.tree.pack_sequence_as(values, [tf.reshape(one, x.shape) for one, x in zip(sums, flat, strict=True)])


def of_all_replicas(rows: Any) -> Any:
    """Gathers tensors (N, ...) of all replicas as (all, ...), in the order of the replicas; differentiable.

    N may differ between replicas where it is not known when the step is traced; else it is the same for all. The
    gradient is the sum of those that all replicas have, so a loss that all compute of gathered rows is to be divided by
    their number.

    Args:
        rows: nested structure of tensors with the same N; None stays None.
    """
    flat = [None if x is None else tf.convert_to_tensor(x) for x in keras.tree.flatten(rows)]
    present = [x for x in flat if x is not None]
    if not several() or not present:
        return rows
    count, before, after = _places(present[0])
    gathered: dict[int, Any] = {}
    # A message for every type. Sums of tensors with disjoint nonzero rows, because `all_gather` has branches that fail
    # on processors.
    for kind in dict.fromkeys(_summable(x.dtype) for x in present):
        alike = [(place, x) for place, x in enumerate(flat) if x is not None and _summable(x.dtype) == kind]
        widths = [math.prod(x.shape[1:]) for _, x in alike]
        matrix = tf.concat(
            [tf.reshape(tf.cast(x, kind), [count, width]) for (_, x), width in zip(alike, widths, strict=True)], axis=1
        )
        columns = tf.split(_summed(tf.pad(matrix, [[before, after], [0, 0]])), widths, axis=1)
        for (place, x), column in zip(alike, columns, strict=True):
            gathered[place] = tf.cast(tf.reshape(column, [before + count + after, *x.shape[1:]]), x.dtype)
    return keras.tree.pack_sequence_as(rows, [gathered.get(place) for place in range(len(flat))])


def local(variable: tf.Variable) -> tf.Variable:
    """This replica's copy of a `tf.Variable`, which can be read and written without the others.

    Copies stay equal where every replica writes the same.
    """
    if not several():
        return variable
    copies = tf.distribute.get_strategy().experimental_local_results(variable)
    return copies[_number() % len(copies)]


def _places(rows: Any) -> tuple[Any, Any, Any]:
    """Numbers of rows that this replica, those before it and those after it have."""
    number, replicas = _number(), tf.distribute.get_strategy().num_replicas_in_sync
    if (same := rows.shape[0]) is not None:
        return same, number * same, (replicas - 1 - number) * same
    count = tf.shape(rows)[0]
    counts = _summed(tf.one_hot(number, replicas, dtype=tf.int32) * count)
    return count, tf.reduce_sum(counts[:number]), tf.reduce_sum(counts[number + 1 :])


def _summable(kind: tf.DType) -> tf.DType:
    """The type in which values are sent, because not every type can be summed."""
    if kind.is_floating:
        return kind
    return tf.int64 if kind in (tf.int64, tf.uint64, tf.uint32) else tf.int32


def _summed(value: Any) -> Any:
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, value)


def _number() -> int:
    return int(tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group))
