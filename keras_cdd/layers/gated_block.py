"""Base of the gated residual blocks: a chain of convolutions whose widths can be cut."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_cdd.annotations import Shape, Tensor
from keras_cdd.layers.conv_shape import ConvShape
from keras_cdd.layers.conv_unit import ConvUnit
from keras_cdd.layers.feature_recorder import active_recorder, into
from keras_cdd.layers.indicator_kinds import INDICATOR_KINDS

# Where the indicators of a block stand; subclasses say at which convolutions that is.
INDICATORS = ("none", "conv2", "both")

KeptChannels = Mapping[str, Mapping[str, Sequence[int]]]


class GatedBlock(keras.layers.Layer):
    """Base of `GatedBottleneck` and `GatedBasicBlock`; use those. The arguments are those of `GatedBottleneck`.

    Indicators are on inner channels only, so every block can be cut there independently of the others. The outer width
    belongs to all blocks that a residual stream passes: `keras_cdd.sites(model, residual=True)` cuts them together.

    Class attributes that subclasses define:
        GEOMETRY: name -> kernel size of every convolution, in order.
        EXPANSION: outer width of the uncut block divided by `filters`.
        SITES: value of `indicators` -> names of the convolutions that get an indicator.
    """

    GEOMETRY: dict[str, int]
    EXPANSION: int
    SITES: dict[str, tuple[str, ...]]

    def __init__(
        self,
        filters: int,
        stride: int = 1,
        indicators: str = "conv2",
        kept_filters: int | Sequence[int] | None = None,
        kept_channels: KeptChannels | None = None,
        stride_on: str | None = None,
        use_bias: bool = False,
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        outer_filters: int | None = None,
        projection: bool | None = None,
        indicator: str = "dense",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if indicators not in self.SITES:
            raise ValueError(
                f"Argument `indicators` must be one of {sorted(self.SITES)}. Received: indicators={indicators!r}"
            )
        if indicator not in INDICATOR_KINDS:
            raise ValueError(
                f"Argument `indicator` must be one of {sorted(INDICATOR_KINDS)}. Received: indicator={indicator!r}"
            )
        if filters < 1 or stride < 1:
            raise ValueError(
                f"Arguments `filters` and `stride` must be positive. Received: filters={filters}, stride={stride}"
            )
        if stride_on is not None and stride_on not in self.GEOMETRY:
            raise ValueError(
                f"Argument `stride_on` must be one of {sorted(self.GEOMETRY)}. Received: stride_on={stride_on!r}"
            )
        if outer_filters is not None and not 1 <= outer_filters <= filters * self.EXPANSION:
            raise ValueError(
                f"Argument `outer_filters` must be from 1 to {filters * self.EXPANSION}, {self.EXPANSION} x `filters`. "
                f"Received: outer_filters={outer_filters}"
            )
        self.filters = filters
        self.outer_filters = outer_filters or self.full_outer_filters
        self.projection = projection
        self.stride = stride
        self.indicators = indicators
        self.indicator = indicator
        self.stride_on = stride_on or next(name for name, size in self.GEOMETRY.items() if size == 3)
        self.use_bias = use_bias
        self.epsilon = epsilon
        self.momentum = momentum
        self.kept_channels = self._kept_channels(kept_filters, kept_channels)
        *inner, last = self.GEOMETRY
        self.inner = [self._inner_unit(name) for name in inner]
        self.last = self._unit(last, self.outer_filters, stride if last == self.stride_on else 1)
        self.shortcut: ConvUnit | None = None

    def _kept_channels(
        self, kept_filters: int | Sequence[int] | None, kept_channels: KeptChannels | None
    ) -> KeptChannels:
        """Convolution -> kept inputs and outputs of its indicator; without the uncut ones."""
        sites = self.SITES[self.indicators]
        if kept_channels is None:
            counts = [kept_filters] if isinstance(kept_filters, int) else kept_filters or [self.filters] * len(sites)
            if len(counts) != len(sites) or not all(1 <= count <= self.filters for count in counts):
                raise ValueError(
                    f"Argument `kept_filters` must give a number from 1 to {self.filters} for each indicator {sites}. "
                    f"Received: kept_filters={kept_filters}"
                )
            kept_channels = {
                site: {"inputs": list(range(count)), "outputs": list(range(count))}
                for site, count in zip(sites, counts, strict=True)
                if count < self.filters
            }
        highest = [max(*kept["inputs"], *kept["outputs"]) for kept in kept_channels.values()]
        if max(highest, default=0) >= self.filters or set(kept_channels) - set(sites):
            raise ValueError(
                f"Argument `kept_channels` must name channels below {self.filters} of the indicators {sites}. "
                f"Received: kept_channels={kept_channels}"
            )
        mixed = [site for site, kept in kept_channels.items() if list(kept["inputs"]) != list(kept["outputs"])]
        if self.indicator == "diagonal" and mixed:
            raise ValueError(
                "Argument `kept_channels` must name the same inputs and outputs of a diagonal indicator. "
                f"Received: others for {mixed}"
            )
        return kept_channels

    def _inner_unit(self, name: str) -> ConvUnit:
        kept = self.kept_channels.get(name, {}) if name in self.SITES[self.indicators] else None
        width = len(kept["inputs"]) if kept else self.filters
        return self._unit(name, width, self.stride if name == self.stride_on else 1, kept)

    def _unit(
        self, name: str, filters: int, stride: int = 1, kept: Mapping[str, Sequence[int]] | None = None
    ) -> ConvUnit:
        unit = ConvUnit(
            filters,
            self.GEOMETRY.get(name, 1),
            stride,
            kept,
            use_bias=self.use_bias,
            epsilon=self.epsilon,
            momentum=self.momentum,
            indicator=self.indicator,
            dtype=self.dtype_policy,
            name=name,
        )
        # A frozen block's BatchNorms must know that they are frozen.
        unit.trainable = self.trainable
        return unit

    def build(self, input_shape: Shape) -> None:
        changes_shape = self.stride > 1 or input_shape[-1] != self.outer_filters
        if changes_shape and self.projection is False:
            raise ValueError(
                f"Argument `projection` must be True or None where the block changes the size or the width. Received: "
                f"projection=False, stride={self.stride}, outer_filters={self.outer_filters}, input shape {input_shape}"
            )
        if changes_shape or self.projection:
            self.shortcut = self._unit("shortcut", self.outer_filters, self.stride)
            self.shortcut.build(input_shape)
        shape = input_shape
        for unit in [*self.inner, self.last]:
            unit.build(shape)
            shape = unit.compute_output_shape(shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        recorder = active_recorder()
        # What an identity shortcut adds is read later, by other layers.
        read = recorder.gate(into(self.name), inputs) if recorder is not None and recorder.gates_of_inputs else inputs
        x = read
        for unit in self.inner:
            x = keras.ops.relu(unit(x, site=self.site(unit), training=training))
            if unit.indicator is not None and recorder is not None:
                x = recorder.gate(self.site(unit), x)
        x = self.last(x, training=training)
        shortcut = inputs if self.shortcut is None else self.shortcut(read, training=training)
        return keras.ops.relu(x + shortcut)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        shape = input_shape
        for unit in [*self.inner, self.last]:
            shape = unit.compute_output_shape(shape)
        return shape

    def site(self, unit: ConvUnit) -> str:
        """The site's name in recorders, plans and logs: `<block>/<convolution>`."""
        return f"{self.name}/{unit.name}"

    @property
    def full_outer_filters(self) -> int:
        """Output channels of the uncut block."""
        return self.filters * self.EXPANSION

    @property
    def gated_units(self) -> dict[str, ConvUnit]:
        """Site name -> `ConvUnit` of every convolution with an indicator."""
        return {self.site(unit): unit for unit in self.inner if unit.indicator is not None}

    @property
    def kept_filters(self) -> list[int]:
        """Number of channels kept at each indicator, in order."""
        full = {"outputs": range(self.filters)}
        return [len(self.kept_channels.get(site, full)["outputs"]) for site in self.SITES[self.indicators]]

    def conv_shapes(self, input_shape: Shape) -> list[ConvShape]:
        """The convolutions of the fused block, in order, that of the shortcut at the end if there is one.

        Args:
            input_shape: (N, H, W, C), the input shape of a call of the block.

        Raises:
            ValueError: if height or width is None.
        """
        shape = (None, *input_shape[1:])
        if None in shape[1:]:
            raise ValueError(
                "Counting needs a fixed image size: give the model's Input a height and a width. "
                f"Received: {self.name} on an input of shape {shape}"
            )
        shapes, channels = [], shape[-1]
        for unit in [*self.inner, self.last]:
            shape = unit.compute_output_shape(shape)
            outputs = unit.filters if unit.indicator is None else unit.indicator.kept
            stride = self.stride if unit.name == self.stride_on else 1
            shapes.append(ConvShape(self.GEOMETRY[unit.name], stride, shape[1:3], channels, outputs))
            channels = outputs
        if self.shortcut is not None:
            inputs = self.shortcut.conv.kernel.shape[2]
            shapes.append(ConvShape(1, self.stride, shape[1:3], inputs, self.outer_filters))
        return shapes

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "stride": self.stride,
            "indicators": self.indicators,
            "kept_filters": self.kept_filters,
            "kept_channels": self.kept_channels,
            "stride_on": self.stride_on,
            "use_bias": self.use_bias,
            "epsilon": self.epsilon,
            "momentum": self.momentum,
            "outer_filters": self.outer_filters,
            "projection": self.projection,
            "indicator": self.indicator,
        }
