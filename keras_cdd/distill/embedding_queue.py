"""The teacher's memory: pooled convolution outputs of the last images (CDD, section 3.3)."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_cdd.annotations import Tensor
from keras_cdd.distill.replicas import local


@keras.saving.register_keras_serializable("keras_cdd")
class EmbeddingQueue(keras.layers.Layer):
    """A ring buffer a site, kept where the computing is: rows are written in place, never copied or sorted.

    Args:
        capacity: images remembered.
        channels: site -> length of its vectors (the teacher's width).
        dtype: "float32", or "float16" for half the memory; larger values are stored as the largest it has.

    Attributes:
        rows: site -> variable (capacity, channels).
        written: how many images were enqueued (a long run counts on within two rounds).

    Raises:
        ValueError: for a capacity below 1, no sites, or another dtype.
    """

    def __init__(
        self, capacity: int, channels: Mapping[str, int], dtype: str | keras.DTypePolicy = "float32", **kwargs: Any
    ) -> None:
        super().__init__(dtype=dtype, **{**kwargs, "trainable": False})
        if capacity < 1:
            raise ValueError(f"Argument `capacity` must be at least 1. Received: capacity={capacity}")
        if not channels:
            raise ValueError(f"Argument `channels` must name a site. Received: channels={channels}")
        if self.variable_dtype not in ("float32", "float16"):
            raise ValueError(f"Argument `dtype` must be 'float32' or 'float16'. Received: dtype={dtype!r}")
        self.capacity = capacity
        self.channels = dict(channels)
        self.rows = {
            site: self.add_weight(
                shape=(capacity, width),
                initializer="zeros",
                trainable=False,
                dtype=self.variable_dtype,
                autocast=False,
                name=site.replace("/", "_"),
            )
            for site, width in self.channels.items()
        }
        self.written = self.add_weight(
            shape=(),
            initializer="zeros",
            trainable=False,
            dtype="int32",
            name="written",
        )
        self.built = True

    @property
    def filled(self) -> Tensor:
        """How many rows hold a vector."""
        return tf.minimum(tf.convert_to_tensor(local(self.written.value)), self.capacity)

    def enqueue(self, batch: Mapping[str, Tensor]) -> None:
        """Overwrites the oldest images by these; of more than `capacity` the last stay.

        Args:
            batch: site -> (N, channels), the same images at every site.

        Raises:
            ValueError: if the sites are not the queue's, since all sites share one write position.
        """
        if batch.keys() != self.rows.keys():
            sites = sorted(self.rows)
            raise ValueError(f"Argument `batch` must hold the sites {sites}. Received: {sorted(batch)}")
        count = tf.shape(next(iter(batch.values())))[0]
        first = tf.maximum(count - self.capacity, 0)
        counter = local(self.written.value)
        written = tf.convert_to_tensor(counter)
        positions = tf.range(written + first, written + count) % self.capacity
        for site, vectors in batch.items():
            rows = tf.saturate_cast(tf.stop_gradient(vectors)[first:], self.variable_dtype)
            local(self.rows[site].value).scatter_nd_update(positions[:, None], rows)
        # Counts up to two rounds only, so that an endless run cannot overflow.
        total = written + count
        counter.assign(tf.where(total >= 2 * self.capacity, total % self.capacity + self.capacity, total))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "capacity": self.capacity, "channels": self.channels}
