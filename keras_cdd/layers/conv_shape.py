"""The size of one convolution, as cost counting and surgery see it."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class ConvShape:
    """One convolution of a deployed (fused) block.

    Attributes:
        area: kernel height times width.
        positions: output height times width.
        inputs: number of input channels, or the name of the site that provides them.
        outputs: number of output channels, or the name of the site that they form.
    """

    area: int
    positions: int
    inputs: int | str
    outputs: int | str

    def macs(self, widths):
        """Multiply-adds (MACs) per image. `widths`: site -> number of channels."""
        return self.positions * self.area * _width(self.inputs, widths) * _width(self.outputs, widths)


def _width(channels, widths):
    return widths[channels] if isinstance(channels, str) else channels
