"""Strategies for training on several devices."""

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_cdd.distill.cluster import cluster_of
from keras_cdd.errors import UserError

# A worker whose machine is gone is missed after this; one whose process ends, at once.
HEARTBEAT_MS = 20_000
# The first workers wait for the last one.
START_MS = 600_000


def _of_workers() -> Any:
    from tensorflow.compiler.xla.tsl.protobuf import coordination_config_pb2
    from tensorflow.python.eager import context

    cluster = cluster_of(os.environ)
    workers = len(cluster.addresses)
    job = coordination_config_pb2.CoordinatedJob(name="worker", num_tasks=workers)
    # The strategy would configure it with the defaults, which no public function changes.
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader="/job:worker/replica:0/task:0",
        coordinated_jobs=[job],
        cluster_register_timeout_in_ms=START_MS,
        heartbeat_timeout_in_ms=HEARTBEAT_MS,
    )
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
        task_type="worker",
        task_id=cluster.index,
        rpc_layer="grpc",
    )
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except tf.errors.OpError as error:
        reason = " ".join(error.message.split())[:200]
        raise UserError(
            f"Worker {cluster.index} of {workers}, {cluster.addresses[cluster.index]}, does not come together with the "
            f"others ({reason}); check that all are started and that their ports are free and open."
        ) from None
    if threading.current_thread() is threading.main_thread() and (stop := signal.getsignal(signal.SIGTERM)) is not None:
        # TensorFlow has put a handler in the place of Python's that notes the signal and does nothing.
        signal.signal(signal.SIGTERM, stop)
    return strategy


# Name -> function that makes the `tf.distribute.Strategy`. It must come before the process computes in TensorFlow.
STRATEGIES = {
    "none": tf.distribute.get_strategy,
    "mirrored": tf.distribute.MirroredStrategy,
    "multi_worker": _of_workers,
}


def for_replicas(batches: tf.data.Dataset) -> Any:
    """What `fit` takes under the current strategy: the batches of this process's replicas in turn, see `Share`."""
    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync == 1:
        return batches
    return strategy.distribute_datasets_from_function(lambda context: batches)


def on_replicas(strategy: Any, step: Callable[[Any], dict[str, Any]], batch: Any) -> dict[str, Any]:
    """Takes a step on all replicas; returns its logs, which are the same numbers in all of them."""
    if strategy.num_replicas_in_sync == 1:
        return step(batch)
    logs = strategy.run(step, args=(batch,))
    return {name: tf.reshape(strategy.experimental_local_results(log)[0], []) for name, log in logs.items()}


def is_of_workers() -> bool:
    """Whether the current strategy trains in several processes."""
    return isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy)
