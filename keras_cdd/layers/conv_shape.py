"""The size of one convolution, as cost counting and surgery see it."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class ConvShape:
    """One convolution of a deployed (fused) block.

    Attributes:
        area: kernel height times width.
        positions: output height times width.
        inputs, outputs: number of channels.
    """

    area: int
    positions: int
    inputs: int
    outputs: int

    @property
    def macs(self) -> int:
        """Multiply-adds (MACs) per image."""
        return self.positions * self.area * self.inputs * self.outputs
