"""One site: channels that can leave, and where they live."""

import dataclasses

import numpy as np

# What an entry of a weight does for a channel, beside carrying it on.
MADE = "made"  # Makes it: kernel and bias of a producer.
READ = "read"  # Takes it: without these entries the channel has no effect.
ADDED = "added"  # Adds to it or subtracts from it, so that it is not zero where what was made is.
SCALED = "scaled"
GATE = "gate"  # A diagonal indicator's factor on it.

# What a call does with channels that run through it, beside `MADE` and `READ`.
WAKES = "wakes"  # May give something else than zero where all that it takes is zero.
ABSORBS = "absorbs"  # Gives zero where any one of several inputs is zero.


@dataclasses.dataclass(frozen=True)
class Slot:
    """Where the channels of a site live along one axis of a weight.

    Attributes:
        path: of the weight, `<layer>/<weight>`, the layer by its name in the `Graph`.
        axis: from 0.
        positions: (channels, n): every channel has n entries along the axis, several behind a Flatten, say.
        role: `MADE`, `READ`, `ADDED`, `SCALED` or `GATE`.
    """

    path: str
    axis: int
    positions: np.ndarray
    role: str


@dataclasses.dataclass(frozen=True)
class Field:
    """An argument of a layer that states a width.

    Attributes:
        layer: its name in the `Graph`.
        name: of the argument in the layer's config: an int, or a shape that ends with the width, or a list.
        positions: as in `Slot`, along what the argument counts.
        is_list: whether the argument has an entry a channel.
    """

    layer: str
    name: str
    positions: np.ndarray
    is_list: bool = False


@dataclasses.dataclass(frozen=True)
class Reading:
    """The tensor in which a layer reads channels of a site, its only input; or an output that only losses read.

    Attributes:
        layer: the layer's name in the `Graph`; see `output_name` for an output.
        positions: as in `Slot`, along the tensor's last axis.
    """

    layer: str
    positions: np.ndarray


@dataclasses.dataclass(frozen=True)
class Site:
    """Channels of a model any of which can leave, each with all that belongs to it.

    Attributes:
        name: of the layer that makes them (of the first, where several do), or `<block>/<convolution>`.
        channels: how many.
        slots: where they live.
        fields: arguments of layers that state how many they are.
        layers: names of all layers that lose something with a channel, in order.
        full_channels: of the uncut network, where that is known; else `channels`.
        keeps_zero: whether a channel that is made as zero is zero wherever it is read.
        input_slots: of a site with a dense indicator, where the inputs of its indicator live, (inputs, n): filters that
            may leave without their indicator's output.
        input_fields: arguments of layers that state how many inputs that indicator has.
        indicator: path of its indicator's kernel, (1, 1, inputs, channels) or, of a diagonal one, (1, 1, 1, channels);
            None without an indicator.
        is_sealed: whether a channel has no effect where its indicator gives zeros.
        readings: the tensors in which layers read the channels.
    """

    name: str
    channels: int
    slots: tuple[Slot, ...]
    fields: tuple[Field, ...]
    layers: tuple[str, ...]
    full_channels: int
    keeps_zero: bool = True
    input_slots: tuple[Slot, ...] = ()
    indicator: str | None = None
    readings: tuple[Reading, ...] = ()
    input_fields: tuple[Field, ...] = ()
    is_sealed: bool = True

    @property
    def indicator_kind(self) -> str | None:
        """ "dense" or "diagonal"; None without an indicator."""
        if self.indicator is None:
            return None
        is_diagonal = any(slot.role == GATE for slot in self.slots if slot.path == self.indicator)
        return "diagonal" if is_diagonal else "dense"

    @property
    def effects(self) -> tuple[Slot, ...]:
        """The slots whose zeros take away all effect of a channel.

        They are those of the indicator; where something is added behind it, or without an indicator, those that read.
        """
        gates = tuple(slot for slot in self.slots if slot.path == self.indicator and slot.role in (MADE, GATE))
        if gates and self.is_sealed:
            return gates
        return (*gates, *(slot for slot in self.slots if slot.role == READ))
