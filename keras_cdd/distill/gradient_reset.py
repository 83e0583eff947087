"""The retrieval-guided gradient reset (CDD, section 3.3): which channels lose the task's pull."""

import tensorflow as tf

from keras_cdd.distill.replicas import local
from keras_cdd.losses import compression_gradient

METRICS = ("cosine", "l2")


def nearest_rows(queue, filled, batch, neighbours, metric="cosine"):
    """Indices (N, neighbours) of the remembered vectors nearest to each of the batch's.

    Args:
        queue: (capacity, C); only the first `filled` rows count.
        batch: (N, C).
        metric: "cosine" or "l2".
    """
    if metric == "cosine":
        similarity = tf.matmul(tf.math.l2_normalize(batch, -1), tf.math.l2_normalize(queue, -1), transpose_b=True)
    else:
        similarity = 2.0 * tf.matmul(batch, queue, transpose_b=True) - tf.reduce_sum(queue**2, axis=-1)
    similarity = tf.where(tf.range(tf.shape(queue)[0]) < filled, similarity, similarity.dtype.min)
    return tf.math.top_k(similarity, neighbours, sorted=True).indices


def unimportant_channels(neighbours, student, ratio, alive=None):
    """For every image and neighbour, the channels that contribute least to `sum |t * s|`.

    Args:
        neighbours: (N, k, C) teacher vectors.
        student: (N, C) pooled indicator outputs of the images themselves.
        ratio: share of the living channels that is called unimportant, rounded down.
        alive: bool (C,); channels already cut take no part. All by default.

    Returns:
        bool (N, k, C).
    """
    contribution = tf.abs(neighbours * student[:, None, :])
    alive = tf.ones_like(contribution[0, 0], tf.bool) if alive is None else alive
    contribution = tf.where(alive, contribution, contribution.dtype.max)
    # The small constant keeps products like 0.7 * 10 from being rounded below their integer.
    count = tf.cast(tf.reduce_sum(tf.cast(alive, tf.float32)) * ratio + 1e-4, tf.int32)
    ascending = tf.argsort(contribution, axis=-1, stable=True)
    ranks = tf.argsort(ascending, axis=-1)
    return (ranks < count) & alive


def indicator_gradient(task_gradient, kernel, gradient_mask, weight):
    """`gradient_mask * task gradient + weight * K / ||K||` per output channel (CDD, eq. 8).

    Args:
        task_gradient, kernel: (1, 1, inputs, outputs).
        gradient_mask: (outputs,), 0 where the task's pull is reset.
        weight: of the compression loss.
    """
    return gradient_mask * task_gradient + weight * compression_gradient(kernel)


class GradientReset:
    """Finds, batch by batch, the channels that no image needs for retrieval, and remembers them.

    Args:
        queue: `EmbeddingQueue` of the teacher.
        kept_channels: site -> indices of the student's channels in the teacher's width.
        ratio: share of channels called unimportant for one image and neighbour.
        neighbours: k; the first neighbour of an image is itself.
        metric: "cosine" or "l2".

    Attributes:
        masks: site -> (channels,) variable, 1 until every image and neighbour of one batch found the channel
            unimportant, 0 ever after.
        counts: site -> (channels,) variable, how often a channel was unimportant (mean over images and neighbours).
        updates: how many batches were counted.
    """

    def __init__(self, queue, kept_channels, ratio=0.5, neighbours=2, metric="cosine"):
        if not 0 <= ratio < 1 or neighbours < 1 or metric not in METRICS:
            raise ValueError(
                f"The reset needs 0 <= ratio < 1, neighbours >= 1 and a metric of {METRICS}. "
                f"Received: ratio={ratio}, neighbours={neighbours}, metric={metric!r}"
            )
        self.queue = queue
        self.kept_channels = {site: list(kept) for site, kept in kept_channels.items()}
        self.ratio = ratio
        self.neighbours = neighbours
        self.metric = metric
        widths = {site: len(kept) for site, kept in self.kept_channels.items()}
        self.masks = {site: tf.Variable(tf.ones(width), trainable=False) for site, width in widths.items()}
        self.counts = {site: tf.Variable(tf.zeros(width), trainable=False) for site, width in widths.items()}
        self.updates = tf.Variable(0.0, trainable=False)

    def update(self, teacher, student, alive=None):
        """Enqueues the teacher's vectors and judges the student's channels by them.

        Args:
            teacher: site -> (N, C) pooled convolution outputs of the teacher.
            student: site -> (N, kept) pooled indicator outputs of the student.
            alive: site -> bool (kept,).
        """
        self.queue.enqueue({site: teacher[site] for site in self.queue.rows})
        for site, kept in self.kept_channels.items():
            unimportant = self._unimportant(
                site, tf.stop_gradient(teacher[site]), tf.stop_gradient(student[site]), kept, (alive or {}).get(site)
            )
            never_needed = tf.reduce_all(unimportant, axis=[0, 1])
            mask = local(self.masks[site])
            mask.assign(mask * tf.cast(~never_needed, tf.float32))
            local(self.counts[site]).assign_add(tf.reduce_mean(tf.cast(unimportant, tf.float32), axis=[0, 1]))
        local(self.updates).assign_add(1.0)

    def _unimportant(self, site, teacher, student, kept, alive):
        queue = tf.convert_to_tensor(local(self.queue.rows[site].value))
        nearest = nearest_rows(queue, self.queue.filled, tf.cast(teacher, tf.float32), self.neighbours, self.metric)
        neighbours = tf.gather(tf.gather(queue, nearest), kept, axis=-1)
        return unimportant_channels(neighbours, tf.cast(student, tf.float32), self.ratio, alive)
