"""Costs as sums of products of widths (plain Python)."""

import dataclasses
from collections.abc import Mapping

Widths = Mapping[str, int]  # Site -> channels.


@dataclasses.dataclass(frozen=True)
class Width:
    """A number of channels that sites contribute to: `constant + sum(n * width of the site)`.

    Attributes:
        constant: channels that stay.
        sites: (site, n) pairs.
    """

    constant: int
    sites: tuple[tuple[str, int], ...] = ()

    def __call__(self, widths: Widths) -> int:
        return self.constant + sum(n * widths[site] for site, n in self.sites)


ONE = Width(1)


@dataclasses.dataclass(frozen=True)
class Term:
    """`factor * left * right`: MACs or parameters of one weight, or a part of the time of one layer."""

    factor: float
    left: Width = ONE
    right: Width = ONE

    def __call__(self, widths: Widths) -> float:
        return self.factor * self.left(widths) * self.right(widths)

    @property
    def sites(self) -> set[str]:
        """Names of the sites that it depends on."""
        return {site for side in (self.left, self.right) for site, _ in side.sites}


def simplified(terms: list[Term]) -> tuple[Term, ...]:
    """The same sum with all constants in one term."""
    constant = sum(term({}) for term in terms if not term.sites)
    return (Term(constant), *(term for term in terms if term.sites))
