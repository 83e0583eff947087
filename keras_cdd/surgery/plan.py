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
    """The cut of one site.

    Attributes:
        outputs: sorted positions of the channels that stay.
        inputs: of an indicator, sorted positions of the input channels that stay: those that feed a kept output, and
            those that round their number up. The same as `outputs` at a site without an indicator.
        channels: number of channels before the cut.
        input_channels: number of the indicator's inputs before the cut; `channels` at a site without an indicator.
        lowest_kept, highest_removed: lowest importance of a kept and highest of a removed channel; NaN if nothing is
            removed.
    """

    outputs: np.ndarray
    inputs: np.ndarray
    channels: int
    input_channels: int
    lowest_kept: float
    highest_removed: float

    @property
    def removed(self) -> int:
        return self.channels - len(self.outputs)


@dataclasses.dataclass(frozen=True)
class SurgeryPlan:
    """Which channels stay; `print(plan)` shows a table.

    Attributes:
        cuts: site -> `SiteCut`, for every site that the plan was made for.
        macs, params: (before, after) of the deployed form.
        full_macs, full_params: MACs and parameters of the uncut network in deployed form.
        costs: site -> ((macs, params) before, (macs, params) after) of the layers that make or read its channels.
        residual: whether channels that additions join leave together, see `keras_cdd.sites`.
        uncounted: name of a layer -> class, of layers with weights whose MACs are not known and count as 0.
    """

    cuts: dict[str, SiteCut]
    macs: tuple[int, int]
    params: tuple[int, int]
    full_macs: int
    full_params: int
    costs: dict[str, tuple[Cost, Cost]]
    residual: bool = False
    uncounted: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def kept_filters(self) -> dict[str, int]:
        """Site -> number of channels that stay."""
        return {site: len(cut.outputs) for site, cut in self.cuts.items()}

    @property
    def is_identity(self) -> bool:
        """True if the plan removes neither output channels nor filters that feed no kept output."""
        return not any(cut.removed or len(cut.inputs) < cut.input_channels for cut in self.cuts.values())

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
        width = max(20, 2 + max(map(len, self.cuts), default=0))
        titles = f"{'channels':>14}{'MACs around it':>22}{'parameters':>22}{'least kept':>11}{'most gone':>11}"
        rows = [f"{site:<{width}}{self._row(site, cut)}" for site, cut in self.cuts.items()]
        lines = [f"{'site':<{width}}{titles}", *rows, f"{'the whole network':<{width}}{self._total()}"]
        return "\n".join([*lines, *self._without_macs()])

    def _without_macs(self) -> list[str]:
        named = ", ".join(f"{name} ({kind})" for name, kind in self.uncounted.items())
        return [f"MACs not counted: {named}"] if named else []

    def _row(self, site: str, cut: SiteCut) -> str:
        (macs, params), (macs_after, params_after) = self.costs[site]
        channels = f"{cut.channels} -> {len(cut.outputs)}"
        limits = (cut.lowest_kept, cut.highest_removed)
        shown = "".join(f"{'-' if np.isnan(value) else f'{value:.3g}':>11}" for value in limits)
        return f"{channels:>14}{_change(macs, macs_after)}{_change(params, params_after)}{shown}"

    def _total(self) -> str:
        macs, params = 100 * self.macs[1] / self.full_macs, 100 * self.params[1] / self.full_params
        return (
            f"{'':>14}{_change(*self.macs)}{_change(*self.params)}\n"
            f"{macs:.1f} % of the MACs and {params:.1f} % of the parameters of the uncut network"
        )


def make_plan(
    costs: "CostModel",
    kernels: Mapping[str, np.ndarray],
    kept: Mapping[str, np.ndarray],
    importance: Mapping[str, np.ndarray],
    round_to: int = 1,
    residual: bool = False,
) -> SurgeryPlan:
    """Makes a `SurgeryPlan` from the channels to keep.

    Args:
        costs: the model's `CostModel`.
        kernels: site -> kernel (inputs, outputs) of the dense indicator, of the sites that have one.
        kept: site -> sorted positions of the outputs that stay.
        importance: site -> (outputs,), larger is more important.
        round_to: the number of input channels is rounded up to a multiple of this with filters that feed nothing; 1 by
            default.
        residual: see `SurgeryPlan`.

    Raises:
        ValueError: if a site would keep no channel.
    """
    empty = [site for site, positions in kept.items() if len(positions) == 0]
    if empty:
        raise ValueError(f"Every site must keep a channel. Received: none left at {empty}")
    outputs = {site: np.asarray(positions) for site, positions in kept.items()}
    inputs = {site: _feeding(kernel, outputs[site], round_to) for site, kernel in kernels.items() if site in outputs}
    rows = {site: len(kernel) for site, kernel in kernels.items()}
    cuts = {
        site: _cut(kept, inputs.get(site, kept), importance[site], rows.get(site)) for site, kept in outputs.items()
    }
    before = dict(costs.widths)
    after = {site: len(cut.outputs) for site, cut in cuts.items()}
    return SurgeryPlan(
        cuts=cuts,
        macs=(costs.macs(before), costs.macs(after)),
        params=(costs.params(before), costs.params(after)),
        full_macs=costs.macs(costs.full_widths),
        full_params=costs.params(costs.full_widths),
        costs={site: (costs.cost_at(site, before), costs.cost_at(site, after)) for site in cuts},
        residual=residual,
        uncounted=dict(costs.uncounted),
    )


def _feeding(kernel: np.ndarray, outputs: np.ndarray, round_to: int) -> np.ndarray:
    # A filter that feeds only removed channels can be removed too, without changing any output.
    feeds = np.any(kernel[:, outputs] != 0, axis=1)
    feeding_first = np.argsort(~feeds, kind="stable")
    return np.sort(feeding_first[: rounded_up(max(1, feeds.sum()), round_to)])


def _cut(outputs: np.ndarray, inputs: np.ndarray, importance: np.ndarray, rows: int | None) -> SiteCut:
    removed = np.setdiff1d(np.arange(len(importance)), outputs)
    return SiteCut(
        outputs=outputs,
        inputs=inputs,
        channels=len(importance),
        input_channels=len(importance) if rows is None else rows,
        lowest_kept=float(importance[outputs].min()) if len(removed) else np.nan,
        highest_removed=float(importance[removed].max()) if len(removed) else np.nan,
    )


def rounded_up(count: int, round_to: int) -> int:
    return -(-count // round_to) * round_to


def _change(before: int, after: int) -> str:
    return f"{_short(before)} -> {_short(after)}".rjust(22)


def _short(number: int) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return str(number)
