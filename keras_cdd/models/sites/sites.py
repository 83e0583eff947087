"""The sites of a model, as a mapping and as a table."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_cdd.layers import ChannelIndicator, DiagonalIndicator
from keras_cdd.models.cost import graph_costs
from keras_cdd.models.graph import Graph, all_layers
from keras_cdd.models.reasons import in_words
from keras_cdd.models.sites.flow import Flow
from keras_cdd.models.sites.places import place_of
from keras_cdd.models.sites.site import Site
from keras_cdd.models.terms import Width


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """Channels that stay.

    Attributes:
        name: of the layer that makes them.
        channels: how many.
        reason: why.
    """

    name: str
    channels: int
    reason: str


class Sites(Mapping[str, Site]):
    """Name -> `Site`, in the order of the graph; `print` shows a table.

    Attributes:
        graph: the model's `Graph`.
        left_out: `LeftOut` of everything that stays.
        variables: path -> weight, of all weights of the model.
        flows: name -> `Flow`, of the sites that are not inside of a layer.
    """

    def __init__(
        self,
        graph: Graph,
        sites: Mapping[str, Site],
        left_out: Sequence[LeftOut],
        variables: Mapping[str, keras.Variable],
        flows: Mapping[str, Flow],
    ) -> None:
        self.graph = graph
        self._sites = dict(sites)
        self.left_out = list(left_out)
        self.variables = dict(variables)
        self.flows = dict(flows)
        self._axes: dict[tuple[int, int], dict[str, int]] = {}
        for name, site in self._sites.items():
            for slot in site.slots:
                key = (id(self.variables[slot.path]), slot.axis)
                self._axes.setdefault(key, {})[name] = slot.positions.shape[1]

    def __getitem__(self, name: str) -> Site:
        return self._sites[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sites)

    def __len__(self) -> int:
        return len(self._sites)

    def only(self, names: Iterable[str]) -> "Sites":
        """These sites alone."""
        return Sites(self.graph, {name: self[name] for name in names}, self.left_out, self.variables, self.flows)

    def with_full_widths(self, full_widths: Mapping[str, int]) -> "Sites":
        """The same sites; those that are named have so many channels in the uncut network."""
        sites = {
            name: dataclasses.replace(site, full_channels=full_widths.get(name, site.full_channels))
            for name, site in self.items()
        }
        return Sites(self.graph, sites, self.left_out, self.variables, self.flows)

    def kernels(self) -> dict[str, np.ndarray]:
        """Name -> (rows, channels): kernels of the indicators, of diagonal ones with one row."""
        paths = {name: site.indicator for name, site in self.items()}
        return {
            name: keras.ops.convert_to_numpy(self.variables[path])[0, 0]
            for name, path in paths.items()
            if path is not None
        }

    def indicator(self, name: str) -> Any:
        """The indicator's layer of a site; None without one."""
        path = self[name].indicator
        return None if path is None else self._indicators[id(self.variables[path])]

    @functools.cached_property
    def _indicators(self) -> dict[int, Any]:
        layers = [layer for layer in self.graph.operations if isinstance(layer, keras.layers.Layer)]
        inner = [layer for outer in layers for layer in (outer, *all_layers(outer))]
        return {id(layer.kernel): layer for layer in inner if isinstance(layer, (ChannelIndicator, DiagonalIndicator))}

    def width(self, weight: keras.Variable, axis: int) -> Width:
        """The length of a weight's axis, as a function of the sites' widths."""
        axis %= len(weight.shape)
        counts = self._axes.get((id(weight), axis), {})
        constant = weight.shape[axis] - sum(count * self[name].channels for name, count in counts.items())
        return Width(constant, tuple(counts.items()))

    def __str__(self) -> str:
        has_size = not any(None in x.shape[1:] for x in keras.tree.flatten(self.graph.inputs))
        costs = graph_costs(self.graph, self) if has_size else None
        width = max(8, 2 + max((len(name) for name in [*self, *(left.name for left in self.left_out)]), default=0))
        kinds = {name: site.indicator_kind or "-" for name, site in self.items()}
        is_gated = any(site.indicator for site in self.values())
        column = f"{'indicator':>11}" if is_gated else ""
        lines = [f"{'site':<{width}}{'channels':>8}{'MACs a channel':>16}{column}  leaves with it"]
        for name, site in self.items():
            macs = "-" if costs is None else f"{costs.of_one_channel(name):,}"
            others = [layer for layer in site.layers if layer != name]
            column = f"{kinds[name]:>11}" if is_gated else ""
            lines.append(f"{name:<{width}}{site.channels:>8}{macs:>16}{column}  {_some(others)}")
        lines += [f"{left.name:<{width}}{left.channels:>8}{'stays':>16}  {left.reason}" for left in self.left_out]
        if missing := self._without_indicator():
            lines.append(f"Without an indicator: {in_words(missing)}.")
        if costs is None:
            return "\n".join([*lines, "An Input without a height and a width has no number of MACs."])
        if costs.uncounted:
            named = ", ".join(f"{name} ({kind})" for name, kind in costs.uncounted.items())
            lines.append(f"MACs not counted: {named}")
        least = 100 * costs.macs(dict.fromkeys(self, 1)) / max(costs.macs(), 1)
        return "\n".join([*lines, f"One channel a site would leave {least:.1f} % of {costs.macs():,} MACs."])

    def _without_indicator(self) -> dict[str, str]:
        """Why sites have none, beside others that have one."""
        kinds = {self[name].indicator_kind for name in self.flows if name in self}
        if kinds <= {None}:
            return {}
        kind = "diagonal" if "diagonal" in kinds else "dense"
        tried = {name: place_of(self, name, kind) for name, site in self.items() if site.indicator is None}
        return {name: reason for name, reason in tried.items() if isinstance(reason, str)}


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
