"""Variables that every replica keeps for itself, equal because every replica sees the whole batch."""

import tensorflow as tf


def of_all_replicas(vectors):
    """Name -> (N, ...) of this replica's images gives name -> (all N, ...) of every replica's."""
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return vectors
    context = tf.distribute.get_replica_context()
    return {name: context.all_gather(vector, axis=0) for name, vector in vectors.items()}


def local(variable):
    """This replica's copy of a `tf.Variable`, to be read and written without asking the others."""
    strategy, context = tf.distribute.get_strategy(), tf.distribute.get_replica_context()
    if strategy.num_replicas_in_sync == 1 or context is None:
        return variable
    copies = strategy.experimental_local_results(variable)
    return copies[context.replica_id_in_sync_group % len(copies)]
