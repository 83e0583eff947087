"""The retrieval-guided gradient reset (CDD, section 3.3): masks the task gradient of unimportant channels."""

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any, Self

import tensorflow as tf

from keras_cdd.annotations import Tensor
from keras_cdd.distill.embedding_queue import EmbeddingQueue
from keras_cdd.distill.part import Part
from keras_cdd.distill.step_record import StepRecord
from keras_cdd.replicas import local, of_all_replicas

METRICS = ("cosine", "l2")


def nearest_rows(
    queue: Tensor, filled: Tensor, batch: Tensor, neighbours: int, metric: str = "cosine", compiled: bool = False
) -> Tensor:
    """Finds the rows of the queue that are nearest to each vector of a batch.

    While fewer than `neighbours` rows are filled, the nearest row takes the places of the missing ones.

    Args:
        queue: (capacity, C), of which the first `filled` rows are searched.
        filled: scalar int32, at least 1.
        batch: (N, C).
        neighbours: number of rows per vector, at most `capacity`.
        metric: "cosine" (the default) or "l2".
        compiled: whether XLA compiles the call; False by default.

    Returns:
        int32 (N, neighbours), indices of rows, the nearest first.
    """
    queue = tf.cast(queue, tf.float32)
    similarity = tf.matmul(tf.cast(batch, tf.float32), queue, transpose_b=True)
    # `tf.norm` would write the squares of the whole queue to memory; the other is unknown to XLA, which writes nothing.
    lengths = (tf.norm if compiled else tf.math.reduce_euclidean_norm)(queue, axis=-1)
    # Both orders are those of the metric; what is the same for all rows is left out.
    if metric == "cosine":
        similarity *= 1.0 / tf.maximum(lengths, 1e-6)
    else:
        similarity = 2.0 * similarity - lengths**2
    rows = tf.range(tf.shape(queue)[0])
    masked = functools.partial(tf.where, rows < filled, similarity, similarity.dtype.min)
    similarity = tf.cond(filled < tf.shape(queue)[0], masked, lambda: similarity)
    indices = _largest(similarity, neighbours)
    return tf.where(tf.range(neighbours) < filled, indices, indices[:, :1])


def _largest(values: Tensor, count: int) -> Tensor:
    """Like `tf.math.top_k(values, count).indices`; fast where `count` is small and the rows of `values` are long."""
    length = values.shape[-1]
    block = max(size for size in range(1, math.isqrt(length) + 1) if length % size == 0)
    if length // block <= count:
        return tf.math.top_k(values, count).indices
    # The largest values are in the blocks with the largest maxima; the order of the blocks keeps that of equal values.
    blocks = tf.reshape(values, [-1, length // block, block])
    best = tf.sort(tf.math.top_k(tf.reduce_max(blocks, axis=-1), count).indices, axis=-1)
    candidates = tf.reshape(tf.gather(blocks, best, batch_dims=1), [-1, count * block])
    found = tf.math.top_k(candidates, count).indices
    return tf.gather(best, found // block, batch_dims=1) * block + found % block


def unimportant_channels(
    neighbours: Tensor, student: Tensor, ratio: float, alive: Tensor | None = None, compiled: bool = False
) -> Tensor:
    """For every image and neighbour, finds the channels that contribute least to `sum |t * s|`; ties by index.

    Args:
        neighbours: (N, k, C), teacher vectors of the neighbours.
        student: (N, C), pooled indicator outputs of the images.
        ratio: fraction of the living channels to call unimportant, in [0, 1); their number is rounded down.
        alive: bool (C,), False for channels that have been cut and are ignored. Default: all True.
        compiled: whether XLA compiles the call; False by default.

    Returns:
        bool (N, k, C).
    """
    contribution = tf.abs(tf.cast(neighbours, tf.float32) * tf.cast(student, tf.float32)[:, None, :])
    alive = tf.ones_like(contribution[0, 0], tf.bool) if alive is None else alive
    contribution = tf.where(alive, contribution, contribution.dtype.max)
    # In float64, so that the count is Python's `int(channels * ratio)` for every ratio.
    count = tf.cast(tf.reduce_sum(tf.cast(alive, tf.float64)) * ratio, tf.int32)
    limit = _kth_smallest(contribution, tf.maximum(count - 1, 0), compiled)[..., None]
    below, equal = contribution < limit, contribution == limit
    left = count - tf.reduce_sum(tf.cast(below, tf.int32), axis=-1, keepdims=True)
    ties = tf.cast(equal, tf.int32)
    # Seldom are there more of them than places left.
    several = tf.reduce_any(tf.reduce_sum(ties, axis=-1, keepdims=True) > left)
    first = tf.cond(several, lambda: equal & (tf.cumsum(ties, axis=-1) <= left), lambda: equal)
    return (below | first) & alive & (count > 0)


def _kth_smallest(values: Tensor, k: Tensor, compiled: bool) -> Tensor:
    """The value at place `k`, from 0, of every row in ascending order."""
    if compiled or tf.config.list_logical_devices("GPU"):
        # The other operation is one of processors alone.
        return tf.gather(tf.sort(values, axis=-1), k, axis=-1)
    return tf.raw_ops.NthElement(input=values, n=k)


def reset_mask(unimportant: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient mask of a batch, and how often each channel is unimportant.

    Args:
        unimportant: bool (N, k, C), the result of `unimportant_channels`.

    Returns:
        `(mask, frequency)`, both float32 (C,). The mask is 0 if a channel is unimportant for all images and all
        neighbours, otherwise 1. The frequency is the fraction of (image, neighbour) pairs for which it is unimportant.
    """
    mask = tf.cast(~tf.reduce_all(unimportant, axis=[0, 1]), tf.float32)
    return mask, tf.reduce_mean(tf.cast(unimportant, tf.float32), axis=[0, 1])


class GradientReset(Part):
    """Finds the channels that no image of a batch needs for retrieval, and removes the task gradient from them.

    Args:
        queue: `EmbeddingQueue` of the teacher.
        kept_channels: site -> indices of the student's channels in the teacher's width.
        ratio: fraction of channels to call unimportant for one image and neighbour; 0.5 by default.
        neighbours: number of neighbours k, 2 by default; the first neighbour of an image is the image itself.
        metric: "cosine" (the default) or "l2".
        first_step: optimizer step at which the reset starts, and the queue starts to fill; 0 by default.
        every: masks and queue are updated every n steps; 1 by default.

    Attributes:
        masks: site -> variable (channels,), the gradient masks: 1 until a channel is unimportant for all images and
            neighbours of one batch, and 0 from then on.
        counts: site -> variable (channels,), the sum over batches of the frequency from `reset_mask`.
        updates: scalar variable, number of batches in `counts`.

    Raises:
        ValueError: if `ratio` is outside [0, 1), `metric` is unknown, or `neighbours` is below 1 or exceeds the
            capacity of the queue.
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
        self.reads_features = tuple(self.kept_channels)
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
        """The reset for the slim student; it shares the queue, because the teacher does not change."""
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
        # Replicas are gathered outside the condition, because a branch cannot wait for other devices.
        taught, learnt = of_all_replicas(step.teacher.convolution), of_all_replicas(step.student.indicator)

        def update() -> int:
            self.update(taught, learnt, step.alive, step.compiled)
            return 0

        if self.first_step == 0 and self.every == 1:
            update()
            return
        turn = (step.number >= self.first_step) & (step.number % self.every == 0)
        tf.cond(turn, update, lambda: 0)

    def indicator_gradient(self, site: str, kernel: Tensor, gradient: Tensor, scale: Tensor) -> Tensor:
        """`gradient_mask * gradient` per output channel (CDD, eq. 8)."""
        return tf.convert_to_tensor(local(self.masks[site])) * gradient if site in self.masks else gradient

    def evidence(self) -> dict[str, Any]:
        """Dict of `counts`, site -> (channels,), and `updates`, the number of batches; empty before the first batch."""
        if not float(tf.convert_to_tensor(self.updates)):
            return {}
        counts = {site: tf.convert_to_tensor(variable).numpy() for site, variable in self.counts.items()}
        return {"counts": counts, "updates": float(tf.convert_to_tensor(self.updates))}

    def update(
        self,
        teacher: Mapping[str, Tensor],
        student: Mapping[str, Tensor],
        alive: Mapping[str, Tensor] | None = None,
        compiled: bool = False,
    ) -> None:
        """Enqueues the teacher's vectors, and updates masks and counts of the student's channels.

        Args:
            teacher: site -> (N, C), pooled convolution outputs of the teacher.
            student: site -> (N, kept), pooled indicator outputs of the student.
            alive: site -> bool (kept,), False for channels that have been cut. Default: all True.
            compiled: whether XLA compiles the call; False by default.
        """
        self.queue.enqueue({site: teacher[site] for site in self.queue.rows}, compiled)
        for site, kept in self.kept_channels.items():
            neighbours = tf.gather(self._retrieve(site, tf.stop_gradient(teacher[site]), compiled), kept, axis=-1)
            living = (alive or {}).get(site)
            batch_mask, frequency = reset_mask(
                unimportant_channels(neighbours, tf.stop_gradient(student[site]), self.ratio, living, compiled)
            )
            mask = local(self.masks[site])
            mask.assign(mask * batch_mask)
            local(self.counts[site]).assign_add(frequency)
        local(self.updates).assign_add(1.0)

    def _retrieve(self, site: str, teacher: Tensor, compiled: bool) -> Tensor:
        """The neighbours (N, k, teacher's width) in the queue of the teacher's vectors (N, teacher's width)."""
        queue = tf.convert_to_tensor(local(self.queue.rows[site].value))
        rows = nearest_rows(queue, self.queue.filled, teacher, self.neighbours, self.metric, compiled)
        return tf.gather(queue, rows)
