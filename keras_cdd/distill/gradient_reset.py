"""The retrieval-guided gradient reset (CDD, section 3.3): which channels lose the task's pull."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

import tensorflow as tf

from keras_cdd.annotations import Tensor
from keras_cdd.distill.embedding_queue import EmbeddingQueue
from keras_cdd.distill.part import Part
from keras_cdd.distill.replicas import local, of_all_replicas
from keras_cdd.distill.step_record import StepRecord

METRICS = ("cosine", "l2")


def nearest_rows(queue: Tensor, filled: Tensor, batch: Tensor, neighbours: int, metric: str = "cosine") -> Tensor:
    """Indices (N, neighbours) of the remembered vectors nearest to each of the batch's, the nearest first.

    While fewer than `neighbours` rows are filled, the nearest one stands in for those that are missing.

    Args:
        queue: (capacity, C); only the first `filled` rows count, at least one.
        batch: (N, C).
        neighbours: at most `capacity`.
        metric: "cosine" or "l2".
    """
    queue, batch = tf.cast(queue, tf.float32), tf.cast(batch, tf.float32)
    if metric == "cosine":
        units = tf.math.l2_normalize(queue, axis=-1)
        similarity = tf.matmul(tf.math.l2_normalize(batch, axis=-1), units, transpose_b=True)
    else:
        # Less the image's own square, the same for all rows, this is the negative squared distance.
        similarity = 2.0 * tf.matmul(batch, queue, transpose_b=True) - tf.reduce_sum(queue**2, axis=-1)
    similarity = tf.where(tf.range(tf.shape(queue)[0]) < filled, similarity, similarity.dtype.min)
    indices = tf.math.top_k(similarity, neighbours, sorted=True).indices
    return tf.where(tf.range(neighbours) < filled, indices, indices[:, :1])


def unimportant_channels(neighbours: Tensor, student: Tensor, ratio: float, alive: Tensor | None = None) -> Tensor:
    """For every image and neighbour, the channels that contribute least to `sum |t * s|`; ties by index.

    Args:
        neighbours: (N, k, C) teacher vectors.
        student: (N, C) pooled indicator outputs of the images themselves.
        ratio: share of the living channels that is called unimportant, rounded down.
        alive: bool (C,); channels already cut take no part. All by default.

    Returns:
        bool (N, k, C).
    """
    contribution = tf.abs(tf.cast(neighbours, tf.float32) * tf.cast(student, tf.float32)[:, None, :])
    alive = tf.ones_like(contribution[0, 0], tf.bool) if alive is None else alive
    contribution = tf.where(alive, contribution, contribution.dtype.max)
    # In float64, so that the count is Python's `int(channels * ratio)` for every ratio.
    count = tf.cast(tf.reduce_sum(tf.cast(alive, tf.float64)) * ratio, tf.int32)
    ascending = tf.argsort(contribution, axis=-1, stable=True)
    ranks = tf.argsort(ascending, axis=-1)
    return (ranks < count) & alive


def reset_mask(unimportant: Tensor) -> tuple[Tensor, Tensor]:
    """What a batch says of every channel.

    Args:
        unimportant: bool (N, k, C), of `unimportant_channels`.

    Returns:
        `(mask, frequency)`, float32 (C,) both: the mask is 0 where a channel is unimportant for all images
        and all neighbours, else 1; the frequency is the share of them that find it unimportant.
    """
    mask = tf.cast(~tf.reduce_all(unimportant, axis=[0, 1]), tf.float32)
    return mask, tf.reduce_mean(tf.cast(unimportant, tf.float32), axis=[0, 1])


class GradientReset(Part):
    """Finds, batch by batch, the channels that no image needs for retrieval, and takes the task's pull from them.

    Args:
        queue: `EmbeddingQueue` of the teacher.
        kept_channels: site -> indices of the student's channels in the teacher's width.
        ratio: share of channels called unimportant for one image and neighbour.
        neighbours: k; the first neighbour of an image is itself.
        metric: "cosine" or "l2".
        first_step: the optimizer step from which the reset works; the queue starts to fill there as well.
        every: takes part in every n-th step only.

    Attributes:
        masks: site -> (channels,) variable, the gradient masks: 1 until every image and neighbour of one batch found
            the channel unimportant, 0 ever after.
        counts: site -> (channels,) variable, the sum over batches of `reset_mask`'s frequency.
        updates: how many batches were counted.

    Raises:
        ValueError: for a ratio outside [0, 1), an unknown metric, neighbours below 1 or beyond the capacity.
    """

    name = "reset"
    needs_teacher = True

    def __init__(
        self,
        queue: EmbeddingQueue,
        kept_channels: Mapping[str, Iterable[int]],
        ratio: float = 0.5,
        neighbours: int = 2,
        metric: str = "cosine",
        first_step: int = 0,
        every: int = 1,
    ) -> None:
        super().__init__()
        if not 0 <= ratio < 1 or neighbours < 1 or metric not in METRICS:
            raise ValueError(
                f"The reset needs 0 <= ratio < 1, neighbours >= 1 and a metric of {METRICS}. "
                f"Received: ratio={ratio}, neighbours={neighbours}, metric={metric!r}"
            )
        if neighbours > queue.capacity:
            raise ValueError(
                f"Argument `neighbours` must not exceed the queue's capacity of {queue.capacity}. "
                f"Received: neighbours={neighbours}"
            )
        self.queue = queue
        self.kept_channels = {site: list(kept) for site, kept in kept_channels.items()}
        self.ratio = ratio
        self.neighbours = neighbours
        self.metric = metric
        self.first_step = first_step
        self.every = every
        widths = {site: len(kept) for site, kept in self.kept_channels.items()}
        self.masks = {site: tf.Variable(tf.ones(width), trainable=False) for site, width in widths.items()}
        self.counts = {site: tf.Variable(tf.zeros(width), trainable=False) for site, width in widths.items()}
        self.updates = tf.Variable(0.0, trainable=False)

    def own_variables(self) -> dict[str, Any]:
        return {
            "written": self.queue.written,
            "updates": self.updates,
            **{f"queue:{site}": rows for site, rows in self.queue.rows.items()},
            **{f"mask:{site}": mask for site, mask in self.masks.items()},
            **{f"count:{site}": count for site, count in self.counts.items()},
        }

    def cut(self, plan: Any) -> Self:
        """The reset of the slim student; it shares the queue, since the teacher stays as it is."""
        kept = {
            site: [channels[position] for position in plan.cuts[site].outputs]
            for site, channels in self.kept_channels.items()
        }
        settings = (self.ratio, self.neighbours, self.metric, self.first_step, self.every)
        slim = self.__class__(self.queue, kept, *settings)
        for site in kept:
            for ours, theirs in ((self.masks, slim.masks), (self.counts, slim.counts)):
                theirs[site].assign(plan.sliced(tf.convert_to_tensor(ours[site]).numpy(), site, outputs=0))
        slim.updates.assign(tf.convert_to_tensor(self.updates))
        slim._finished.assign(self.finished)
        return slim

    def observe(self, step: StepRecord) -> None:
        # Replicas meet here, outside of the condition: a branch may not wait for other devices.
        taught, learnt = of_all_replicas(step.teacher.convolution), of_all_replicas(step.student.indicator)

        def update() -> int:
            self.update(taught, learnt, step.alive)
            return 0

        if self.first_step == 0 and self.every == 1:
            update()
            return
        turn = (step.number >= self.first_step) & (step.number % self.every == 0)
        tf.cond(turn, update, lambda: 0)

    def indicator_gradient(self, site: str, kernel: Tensor, gradient: Tensor, scale: Tensor) -> Tensor:
        """`gradient_mask * gradient` per output channel (CDD, eq. 8)."""
        return tf.convert_to_tensor(local(self.masks[site])) * gradient

    def evidence(self) -> dict[str, Any]:
        """`counts`: site -> (channels,); `updates`: how many batches were counted. Empty before the first one."""
        if not float(tf.convert_to_tensor(self.updates)):
            return {}
        counts = {site: tf.convert_to_tensor(variable).numpy() for site, variable in self.counts.items()}
        return {"counts": counts, "updates": float(tf.convert_to_tensor(self.updates))}

    def update(
        self,
        teacher: Mapping[str, Tensor],
        student: Mapping[str, Tensor],
        alive: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Enqueues the teacher's vectors and judges the student's channels by them.

        Args:
            teacher: site -> (N, C) pooled convolution outputs of the teacher.
            student: site -> (N, kept) pooled indicator outputs of the student.
            alive: site -> bool (kept,).
        """
        self.queue.enqueue({site: teacher[site] for site in self.queue.rows})
        for site, kept in self.kept_channels.items():
            neighbours = tf.gather(self._retrieve(site, tf.stop_gradient(teacher[site])), kept, axis=-1)
            living = (alive or {}).get(site)
            batch_mask, frequency = reset_mask(
                unimportant_channels(neighbours, tf.stop_gradient(student[site]), self.ratio, living)
            )
            mask = local(self.masks[site])
            mask.assign(mask * batch_mask)
            local(self.counts[site]).assign_add(frequency)
        local(self.updates).assign_add(1.0)

    def _retrieve(self, site: str, teacher: Tensor) -> Tensor:
        """The remembered neighbours (N, k, teacher's width) of the teacher's vectors (N, teacher's width)."""
        queue = tf.convert_to_tensor(local(self.queue.rows[site].value))
        return tf.gather(queue, nearest_rows(queue, self.queue.filled, teacher, self.neighbours, self.metric))
