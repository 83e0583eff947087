"""The size of one convolution, as counts and surgery see it."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class ConvShape:
    """One convolution of a deployed (fused) block.

    Attributes:
        area: kernel height times width.
        positions: output height times width.
        inputs: input channels: a number, or the name of the site whose width it is.
        outputs: output channels, likewise.
    """

    area: int
    positions: int
    inputs: int | str
    outputs: int | str

    def macs(self, widths):
        """Multiply-adds per image, `widths` giving the channels of each site."""
        return self.positions * self.area * _width(self.inputs, widths) * _width(self.outputs, widths)

    def params(self, widths):
        """Kernel elements and one bias a channel."""
        outputs = _width(self.outputs, widths)
        return self.area * _width(self.inputs, widths) * outputs + outputs


def _width(channels, widths):
    return widths[channels] if isinstance(channels, str) else channels
