"""The share of every batch that one process reads."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Share:
    """Consecutive parts of every batch, which is divided into as many parts as there are replicas.

    Parts differ by one image at most; those of an uneven batch, too.

    Attributes:
        first: number of the first part, from 0.
        held: number of the parts.
        parts: number of all parts of a batch.
    """

    first: int = 0
    held: int = 1
    parts: int = 1

    def bounds(self, part, size):
        """Where a part of a batch of `size` images begins and ends; `part`, an integer or a tensor, counts from 0."""
        number = self.first + part
        return number * size // self.parts, (number + 1) * size // self.parts

    def size(self, batch):
        """The number of images of every part of a batch, or None if it is not the same for all."""
        return None if batch % self.parts else batch // self.parts


WHOLE = Share()
