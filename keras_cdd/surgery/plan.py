"""The plan of a surgery: which channels stay, and what that saves (NumPy)."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from keras_cdd.surgery.slicing import slice_array

if TYPE_CHECKING:
    from keras_cdd.models import CostModel

Cost = tuple[int, int]  # MACs, parameters


@dataclasses.dataclass(frozen=True)
class SiteCut:
    """The cut of one indicator.

    Attributes:
        outputs: sorted positions of the output channels that stay.
        inputs: sorted positions of the input channels that stay: those that feed a kept output, and those that round
            their number up.
        channels: number of output channels before the cut.
        lowest_kept, highest_removed: lowest importance of a kept and highest of a removed channel; NaN if nothing is
            removed.
    """

    outputs: np.ndarray
    inputs: np.ndarray
    channels: int
    lowest_kept: float
    highest_removed: float

    @property
    def removed(self) -> int:
        return self.channels - len(self.outputs)


@dataclasses.dataclass(frozen=True)
class SurgeryPlan:
    """Which channels stay; `print(plan)` shows a table.

    Attributes:
        cuts: site -> `SiteCut`, for every indicator of the model.
        macs, params: (before, after) of the deployed form.
        full_macs, full_params: MACs and parameters of the uncut network in deployed form.
        costs: site -> ((macs, params) before, (macs, params) after) of the block that contains the site.
    """

    cuts: dict[str, SiteCut]
    macs: tuple[int, int]
    params: tuple[int, int]
    full_macs: int
    full_params: int
    costs: dict[str, tuple[Cost, Cost]]

    @property
    def kept_filters(self) -> dict[str, int]:
        """Site -> number of channels that stay."""
        return {site: len(cut.outputs) for site, cut in self.cuts.items()}

    @property
    def is_identity(self) -> bool:
        """True if the plan removes neither output channels nor filters that feed no kept output."""
        return not any(cut.removed for cut in self.cuts.values()) and all(
            np.array_equal(cut.inputs, np.arange(len(cut.inputs))) for cut in self.cuts.values()
        )

    def sliced(self, array: np.ndarray, site: str, inputs: int | None = None, outputs: int | None = None) -> np.ndarray:
        """Cuts an array that has axes over the channels of a site.

        Args:
            array: NumPy array of any shape.
            site: name of the site.
            inputs, outputs: the axis over the indicator's inputs and the axis over its outputs; None (the default) if
                the array has no such axis.

        Returns:
            A new array with the positions that stay.
        """
        cut = self.cuts[site]
        sides = ((inputs, cut.inputs), (outputs, cut.outputs))
        return slice_array(array, [(axis, positions) for axis, positions in sides if axis is not None])

    def __str__(self) -> str:
        head = f"{'site':<20}{'channels':>12}{'block MACs':>22}{'block params':>22}{'least kept':>11}{'most gone':>11}"
        return "\n".join([head, *(self._row(site, cut) for site, cut in self.cuts.items()), self._total()])

    def _row(self, site: str, cut: SiteCut) -> str:
        (macs, params), (macs_after, params_after) = self.costs[site]
        channels = f"{cut.channels} -> {len(cut.outputs)}"
        limits = (cut.lowest_kept, cut.highest_removed)
        shown = "".join(f"{'-' if np.isnan(value) else f'{value:.3g}':>11}" for value in limits)
        return f"{site:<20}{channels:>12}{_change(macs, macs_after)}{_change(params, params_after)}{shown}"

    def _total(self) -> str:
        macs, params = 100 * self.macs[1] / self.full_macs, 100 * self.params[1] / self.full_params
        return (
            f"{'the whole network':<20}{'':>12}{_change(*self.macs)}{_change(*self.params)}\n"
            f"{macs:.1f} % of the MACs and {params:.1f} % of the parameters of the uncut network"
        )


def make_plan(
    costs: "CostModel",
    kernels: Mapping[str, np.ndarray],
    kept: Mapping[str, np.ndarray],
    importance: Mapping[str, np.ndarray],
    round_to: int = 1,
) -> SurgeryPlan:
    """Makes a `SurgeryPlan` from the channels to keep.

    Args:
        costs: the model's `CostModel`.
        kernels: site -> indicator kernel (inputs, outputs).
        kept: site -> sorted positions of the outputs that stay.
        importance: site -> (outputs,), larger is more important.
        round_to: the number of input channels is rounded up to a multiple of this with filters that feed nothing; 1 by
            default.

    Raises:
        ValueError: if a site would keep no channel.
    """
    empty = [site for site, positions in kept.items() if len(positions) == 0]
    if empty:
        raise ValueError(f"Every site must keep a channel. Received: none left at {empty}")
    cuts = {site: _cut(kernels[site], np.asarray(kept[site]), importance[site], round_to) for site in kernels}
    before = dict(costs.widths)
    after = {site: len(cut.outputs) for site, cut in cuts.items()}
    return SurgeryPlan(
        cuts=cuts,
        macs=(costs.macs(before), costs.macs(after)),
        params=(costs.params(before), costs.params(after)),
        full_macs=costs.macs(costs.full_widths),
        full_params=costs.params(costs.full_widths),
        costs={site: (_block_cost(costs, site, before), _block_cost(costs, site, after)) for site in cuts},
    )


def _cut(kernel: np.ndarray, outputs: np.ndarray, importance: np.ndarray, round_to: int) -> SiteCut:
    # A filter that feeds only removed channels can be removed too, without changing any output.
    feeds = np.any(kernel[:, outputs] != 0, axis=1)
    feeding_first = np.argsort(~feeds, kind="stable")
    inputs = np.sort(feeding_first[: rounded_up(max(1, feeds.sum()), round_to)])
    removed = np.setdiff1d(np.arange(kernel.shape[1]), outputs)
    return SiteCut(
        outputs=outputs,
        inputs=inputs,
        channels=kernel.shape[1],
        lowest_kept=float(importance[outputs].min()) if len(removed) else np.nan,
        highest_removed=float(importance[removed].max()) if len(removed) else np.nan,
    )


def rounded_up(count: int, round_to: int) -> int:
    return -(-count // round_to) * round_to


def _block_cost(costs: "CostModel", site: str, widths: Mapping[str, int]) -> Cost:
    block = site.rsplit("/", 1)[0] + "/"
    shapes = [s for s in costs.shapes if block in (str(s.inputs)[: len(block)], str(s.outputs)[: len(block)])]
    return sum(s.macs(widths) for s in shapes), sum(s.params(widths) for s in shapes)


def _change(before: int, after: int) -> str:
    return f"{_short(before)} -> {_short(after)}".rjust(22)


def _short(number: int) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return str(number)
