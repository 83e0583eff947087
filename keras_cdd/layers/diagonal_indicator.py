"""A learnable factor a channel: an indicator that mixes nothing and stands anywhere."""

from collections.abc import Iterable
from typing import Any

import keras

from keras_cdd.annotations import Shape, Tensor
from keras_cdd.layers.channel_indicator import sorted_channels


@keras.saving.register_keras_serializable("keras_cdd")
class DiagonalIndicator(keras.layers.Layer):
    """Multiplies every channel by a factor of its own, initialised to one: the diagonal of a `ChannelIndicator`.

    A factor of exactly zero is a channel that has been cut; surgery removes it.

    Args:
        output_channels: sorted indices of the channels in the uncut layer. Default: 0, 1, ..., channels - 1.
        full_channels: number of channels of the uncut layer. Default: as many as the input has.
        **kwargs: of `keras.layers.Layer`.

    Input and output shape: (N, ..., channels), a tensor of any rank from 2.

    Attributes:
        kernel: (1, 1, 1, channels) variable, the factors, with the axes of a `ChannelIndicator`'s kernel.
        kept, input_channels: as of a `ChannelIndicator`: number of channels, and `output_channels` once more.

    Raises:
        ValueError: if the list is empty, unsorted, has duplicates or negative indices, or if its length does not match
            the number of channels (the latter when the layer is built).
    """

    def __init__(
        self, output_channels: Iterable[int] | None = None, full_channels: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.output_channels = sorted_channels(output_channels, "output_channels")
        self.full_channels = full_channels

    def build(self, input_shape: Shape) -> None:
        channels = int(input_shape[-1])
        self.output_channels = self.output_channels or list(range(channels))
        self.full_channels = self.full_channels or channels
        if len(self.output_channels) != channels:
            raise ValueError(
                "Argument `output_channels` must name as many channels as the input has. "
                f"Received: {len(self.output_channels)} channels, input shape {tuple(input_shape)}"
            )
        self.kernel = self.add_weight(
            name="kernel",
            shape=(1, 1, 1, channels),
            initializer="ones",
            # All replicas compute the same shrinkage, so the first one's value is everybody's.
            aggregation="only_first_replica",
        )

    @property
    def kept(self) -> int | None:
        return None if self.output_channels is None else len(self.output_channels)

    @property
    def input_channels(self) -> list[int] | None:
        return self.output_channels

    def call(self, inputs: Tensor) -> Tensor:
        return inputs * keras.ops.reshape(self.kernel, (-1,))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "output_channels": self.output_channels,
            "full_channels": self.full_channels,
        }
