"""What a network costs, as a function of its widths (plain Python)."""

import dataclasses
import functools
from collections.abc import Mapping

from keras_cdd.models.terms import Term

MEASURES = ("macs", "params", "ms")


@dataclasses.dataclass(frozen=True)
class CostModel:
    """The cost of a network as a function of the widths that surgery can change.

    Attributes:
        macs_terms, params_terms: tuples of `Term`; their sums are the MACs and the parameters.
        widths: site -> number of channels now.
        full_widths: site -> number of channels in the uncut network.
        uncounted: name of a layer -> class, of layers with weights whose MACs are not known and count as 0.
        ms_terms: tuple of `Term`; their sum is the time in milliseconds. Empty where nothing was timed.
    """

    macs_terms: tuple[Term, ...]
    params_terms: tuple[Term, ...]
    widths: dict[str, int]
    full_widths: dict[str, int]
    uncounted: dict[str, str] = dataclasses.field(default_factory=dict)
    ms_terms: tuple[Term, ...] = ()

    def terms(self, measure: str) -> tuple[Term, ...]:
        """The terms of one of `MEASURES`."""
        return {"macs": self.macs_terms, "params": self.params_terms, "ms": self.ms_terms}[measure]

    def total(self, measure: str, widths: Mapping[str, int] | None = None) -> float:
        """The cost by a measure, now or at other widths."""
        return sum(term(widths or self.widths) for term in self.terms(measure))

    def params(self, widths: Mapping[str, int] | None = None) -> int:
        return int(self.total("params", widths))

    def macs(self, widths: Mapping[str, int] | None = None) -> int:
        return int(self.total("macs", widths))

    def cost_at(self, site: str, widths: Mapping[str, int] | None = None) -> tuple[int, int]:
        """(MACs, parameters) of all layers that make or read a site's channels."""
        return int(self._at(site, "macs", widths or self.widths)), int(self._at(site, "params", widths or self.widths))

    def of_one_channel(self, site: str, measure: str = "macs", widths: Mapping[str, int] | None = None) -> float:
        """What one channel less at a site saves by a measure, now or at other widths."""
        at = widths or self.widths
        return self._at(site, measure, at) - self._at(site, measure, {**at, site: at[site] - 1})

    def _at(self, site: str, measure: str, widths: Mapping[str, int]) -> float:
        return sum(term(widths) for term in self._terms_of[site, measure])

    @functools.cached_property
    def _terms_of(self) -> dict[tuple[str, str], list[Term]]:
        found: dict[tuple[str, str], list[Term]] = {(site, name): [] for site in self.widths for name in MEASURES}
        for measure in MEASURES:
            for term in self.terms(measure):
                for site in term.sites:
                    found[site, measure].append(term)
        return found
