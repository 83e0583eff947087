"""Variables with a local copy per replica; the copies stay equal because every replica sees the whole batch."""

import tensorflow as tf


def of_all_replicas(vectors):
    """Gathers name -> (N, C) of all replicas as name -> (replicas * N, C); N must be the same on every replica."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if replicas == 1:
        return vectors
    context, number = tf.distribute.get_replica_context(), _number()

    def gathered(vector):
        # A sum of tensors with disjoint nonzero rows, because `all_gather` has branches that fail on CPU devices.
        count = tf.shape(vector)[0]
        padded = tf.pad(tf.stop_gradient(vector), [[number * count, (replicas - 1 - number) * count], [0, 0]])
        return context.all_reduce(tf.distribute.ReduceOp.SUM, padded)

    return {name: gathered(vector) for name, vector in vectors.items()}


def local(variable):
    """This replica's copy of a `tf.Variable`, which can be read and written without synchronisation."""
    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync == 1 or tf.distribute.get_replica_context() is None:
        return variable
    copies = strategy.experimental_local_results(variable)
    return copies[_number() % len(copies)]


def _number():
    return int(tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group))
