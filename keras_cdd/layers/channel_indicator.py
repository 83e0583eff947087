"""The learnable 1x1 convolution whose kernel shows which channels matter (CDD, section 3.1)."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from keras_cdd.annotations import Shape, Tensor


@keras.saving.register_keras_serializable("keras_cdd")
class ChannelIndicator(keras.layers.Layer):
    """A 1x1 convolution without bias, initialised to the identity (CDD, section 3.1).

    The L2 norm of `kernel[..., j]` is the importance of output channel j. A column of exact zeros is a channel that
    has been cut; surgery removes it. A row of exact zeros belongs to a filter of the preceding convolution that feeds
    nothing; surgery removes that filter, too.

    Args:
        kept: number of output channels. Default: `len(output_channels)` if those are given, else the number of input
            channels.
        input_channels: sorted indices of the inputs in the uncut layer. Default: 0, 1, ..., channels - 1.
        output_channels: sorted indices of the outputs in the uncut layer. Default: 0, 1, ..., kept - 1.
        full_channels: number of channels of the uncut layer, of an indicator that stands behind its producer and makes
            one site with it, as `keras_cdd.gate_model` puts it there. Default: None, an indicator of its own.
        **kwargs: of `keras.layers.Layer`.

    Input and output shape: (N, ..., channels) -> (N, ..., kept): maps, vectors, sequences, volumes.

    Attributes:
        kernel: (1, 1, channels, kept) variable; 1 where input and output are the same channel of the uncut layer,
            0 elsewhere, at the start.

    Raises:
        ValueError: if `kept` is below 1, if a list is empty, unsorted, has duplicates or negative indices, or if its
            length does not match `kept` or the number of input channels (the latter when the layer is built).
    """

    def __init__(
        self,
        kept: int | None = None,
        input_channels: Iterable[int] | None = None,
        output_channels: Iterable[int] | None = None,
        full_channels: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.input_channels = sorted_channels(input_channels, "input_channels")
        self.output_channels = sorted_channels(output_channels, "output_channels")
        if kept is None and self.output_channels is not None:
            kept = len(self.output_channels)
        if kept is not None and kept < 1:
            raise ValueError(f"Argument `kept` must be at least 1. Received: kept={kept}")
        if self.output_channels is not None and len(self.output_channels) != kept:
            raise ValueError(
                "Argument `output_channels` must name as many channels as `kept`. "
                f"Received: {len(self.output_channels)} channels, kept={kept}"
            )
        self.kept = kept
        self.full_channels = full_channels

    def build(self, input_shape: Shape) -> None:
        channels = int(input_shape[-1])
        self.kept = self.kept or channels
        self.input_channels = self.input_channels or list(range(channels))
        self.output_channels = self.output_channels or list(range(self.kept))
        if len(self.input_channels) != channels:
            raise ValueError(
                "Argument `input_channels` must name as many channels as the input has. "
                f"Received: {len(self.input_channels)} channels, input shape {tuple(input_shape)}"
            )
        self.kernel = self.add_weight(
            name="kernel",
            shape=(1, 1, channels, self.kept),
            initializer=self._identity,
            # All replicas compute the same shrinkage, so the first one's value is everybody's.
            aggregation="only_first_replica",
        )

    def _identity(self, shape: Shape, dtype: str | None = None) -> Tensor:
        same = np.equal.outer(np.asarray(self.input_channels), np.asarray(self.output_channels))
        return keras.ops.reshape(keras.ops.cast(same, dtype or "float32"), shape)

    def call(self, inputs: Tensor) -> Tensor:
        if len(inputs.shape) == 4:
            return keras.ops.conv(inputs, self.kernel, padding="valid")
        return keras.ops.matmul(inputs, self.kernel[0, 0])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.kept or input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kept": self.kept,
            "input_channels": self.input_channels,
            "output_channels": self.output_channels,
            "full_channels": self.full_channels,
        }


def sorted_channels(channels: Iterable[int] | None, name: str) -> list[int] | None:
    if channels is None:
        return None
    channels = [int(channel) for channel in channels]
    if not channels or channels[0] < 0 or any(a >= b for a, b in zip(channels, channels[1:], strict=False)):
        raise ValueError(f"Argument `{name}` must be sorted, distinct indices from 0. Received: {name}={channels}")
    return channels
