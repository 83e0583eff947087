"""Embedding queue: the teacher's pooled convolution outputs for the most recent images (CDD, section 3.3)."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_cdd.annotations import Tensor
from keras_cdd.replicas import local

QUEUE_DTYPES = ("float32", "float16")


@keras.saving.register_keras_serializable("keras_cdd")
class EmbeddingQueue(keras.layers.Layer):
    """A ring buffer per site, on the device that computes; rows are written in place, never moved or sorted.

    Args:
        capacity: number of images to store.
        channels: site -> length of its vectors (the teacher's width).
        dtype: "float32" (the default), or "float16" for half the memory, which clips larger values to its range.

    Attributes:
        rows: site -> variable (capacity, channels).
        written: scalar int32 variable, number of enqueued images. From 2 * capacity on it wraps to capacity, which
            keeps the write position.

    Raises:
        ValueError: if `capacity` is below 1, `channels` is empty or `dtype` is another one.
    """

    def __init__(
        self, capacity: int, channels: Mapping[str, int], dtype: str | keras.DTypePolicy = "float32", **kwargs: Any
    ) -> None:
        super().__init__(dtype=dtype, **{**kwargs, "trainable": False})
        if capacity < 1:
            raise ValueError(f"Argument `capacity` must be at least 1. Received: capacity={capacity}")
        if not channels:
            raise ValueError(f"Argument `channels` must name a site. Received: channels={channels}")
        if self.variable_dtype not in QUEUE_DTYPES:
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
        """Number of rows that contain a vector, scalar int32."""
        return tf.minimum(tf.convert_to_tensor(local(self.written.value)), self.capacity)

    def enqueue(self, batch: Mapping[str, Tensor], compiled: bool = False) -> None:
        """Overwrites the oldest images; if N exceeds `capacity`, the last `capacity` images are stored.

        Args:
            batch: site -> (N, channels), for the same N images at every site.
            compiled: whether XLA compiles the call, which lacks one of the operations; False by default.

        Raises:
            ValueError: if the sites differ from those of the queue, because all sites share one write position.
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
            variable = local(self.rows[site].value)
            if compiled:
                variable.scatter_nd_update(positions[:, None], rows)
            else:
                # Into the variable's memory; after a scatter, TensorFlow copies the variable whenever it is read.
                variable.assign(tf.raw_ops.InplaceUpdate(x=tf.convert_to_tensor(variable), i=positions, v=rows))
        # Wraps after two rounds, so that the counter cannot overflow in a long run.
        total = written + count
        counter.assign(tf.where(total >= 2 * self.capacity, total % self.capacity + self.capacity, total))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "capacity": self.capacity, "channels": self.channels}
