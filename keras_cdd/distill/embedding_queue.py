"""The teacher's memory: pooled convolution outputs of the last images (CDD, section 3.3)."""

import keras
import tensorflow as tf

from keras_cdd.distill.replicas import local


@keras.saving.register_keras_serializable("keras_cdd")
class EmbeddingQueue(keras.layers.Layer):
    """A ring buffer a site, kept where the computing is; rows are written in place, nothing is copied or sorted.

    Args:
        capacity: images remembered.
        channels: site -> length of its vectors (the teacher's width).

    Attributes:
        rows: site -> variable (capacity, channels).
        written: how many images were ever enqueued.
    """

    def __init__(self, capacity, channels, **kwargs):
        super().__init__(trainable=False, **kwargs)
        if capacity < 1:
            raise ValueError(f"Argument `capacity` must be at least 1. Received: capacity={capacity}")
        self.capacity = capacity
        self.channels = dict(channels)
        self.rows = {
            site: self.add_weight(
                shape=(capacity, width),
                initializer="zeros",
                trainable=False,
                dtype="float32",
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
    def filled(self):
        """How many rows hold a vector."""
        return tf.minimum(tf.convert_to_tensor(local(self.written.value)), self.capacity)

    def enqueue(self, batch):
        """Writes site -> (N, channels), overwriting the oldest; of more than `capacity` images the last stay."""
        count = tf.shape(next(iter(batch.values())))[0]
        first = tf.maximum(count - self.capacity, 0)
        counter = local(self.written.value)
        written = tf.convert_to_tensor(counter)
        positions = tf.range(written + first, written + count) % self.capacity
        for site, vectors in batch.items():
            rows = tf.cast(tf.stop_gradient(vectors)[first:], tf.float32)
            local(self.rows[site].value).scatter_nd_update(positions[:, None], rows)
        # Counts up to two rounds only, so that an endless run cannot overflow.
        total = written + count
        counter.assign(tf.where(total >= 2 * self.capacity, total % self.capacity + self.capacity, total))

    def get_config(self):
        return {**super().get_config(), "capacity": self.capacity, "channels": self.channels}
