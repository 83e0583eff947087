"""The size of one convolution, as cost counting and surgery see it."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class ConvShape:
    """One convolution of a deployed (fused) block.

    Attributes:
        kernel: kernel height, and width.
        stride: the stride along both sides.
        size: (height, width) of the output.
        inputs, outputs: number of channels.
    """

    kernel: int
    stride: int
    size: tuple[int, int]
    inputs: int
    outputs: int

    @property
    def area(self) -> int:
        """Kernel height times width."""
        return self.kernel**2

    @property
    def positions(self) -> int:
        """Output height times width."""
        return self.size[0] * self.size[1]

    @property
    def macs(self) -> int:
        """Multiply-adds (MACs) per image."""
        return self.positions * self.area * self.inputs * self.outputs
