"""Variables that every replica keeps for itself, equal because every replica sees the whole batch."""

import tensorflow as tf


def of_all_replicas(vectors):
    """Name -> (N, C) of this replica's images gives name -> (all N, C) of every replica's, each with as many."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if replicas == 1:
        return vectors
    context, number = tf.distribute.get_replica_context(), _number()

    def gathered(vector):
        # A sum of vectors that each fill their own rows; `all_gather` branches, which CPU devices do not survive.
        count = tf.shape(vector)[0]
        padded = tf.pad(tf.stop_gradient(vector), [[number * count, (replicas - 1 - number) * count], [0, 0]])
        return context.all_reduce(tf.distribute.ReduceOp.SUM, padded)

    return {name: gathered(vector) for name, vector in vectors.items()}


def local(variable):
    """This replica's copy of a `tf.Variable`, to be read and written without asking the others."""
    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync == 1 or tf.distribute.get_replica_context() is None:
        return variable
    copies = strategy.experimental_local_results(variable)
    return copies[_number() % len(copies)]


def _number():
    return int(tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group))
