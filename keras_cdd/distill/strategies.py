"""Strategies for training on several devices."""

import tensorflow as tf

# Name -> function that makes the `tf.distribute.Strategy`.
STRATEGIES = {
    "none": tf.distribute.get_strategy,
    "mirrored": tf.distribute.MirroredStrategy,
    "multi_worker": tf.distribute.MultiWorkerMirroredStrategy,
}
