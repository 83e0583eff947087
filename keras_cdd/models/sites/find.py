"""From a model to its sites."""

import collections
import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_cdd.layers import GatedBlock
from keras_cdd.models.graph import Graph, graph_of
from keras_cdd.models.sites.flow import Flow, Order, flows_of
from keras_cdd.models.sites.rules import rule_of
from keras_cdd.models.sites.site import GATE, READ, Field, Reading, Site, Slot
from keras_cdd.models.sites.sites import LeftOut, Sites
from keras_cdd.models.sites.walk import LabelledAxis, Made, Walk

# What Keras calls a weight that its layer gave no name: a number that every new layer counts up.
NAMELESS = re.compile(r"(^|/)variable(_\d+)?$")
SQUEEZE = "the squeeze of a squeeze-excitation saves little (squeeze=True takes it)"


def sites(model: keras.Model, residual: bool = False, squeeze: bool = False) -> Sites:
    """Which channels of a model can leave, each with all that belongs to it; `print` shows a table.

    Every channel of every tensor is followed through the graph: through everything that treats channels one by one,
    through concatenations, multiplications and, with `residual`, additions, which make channels leave together. What
    mixes channels, gives the model's outputs or is not known keeps them, with the reason.

    Args:
        model: functional Keras model or built `Sequential`; stays untouched. Models and composite layers
            inside it are opened.
        residual: channels that are added leave together: the outer widths of residual networks. Default: False, they
            stay.
        squeeze: also the inner widths of squeeze-excitation. Default: False; there are many of them and they save
            about one percent.

    Returns:
        `Sites`, a mapping from a name to a `Site`.

    Raises:
        UserError: for a model without a graph.
    """
    graph = graph_of(model)
    return _Finder(graph, Walk(graph, residual, rule_of)).sites(squeeze)


def cut_sites(model: keras.Model, residual: bool = False, squeeze: bool = False) -> Sites:
    """The `sites` that surgery cuts: of a model with gated blocks only those with an indicator, unless `residual`."""
    found = sites(model, residual, squeeze)
    if residual or not any(isinstance(operation, GatedBlock) for operation in found.graph.operations):
        return found
    return found.only(name for name, site in found.items() if site.indicator is not None)


class _Finder:
    """Groups the channels of a finished walk: those that live in the same places are a site."""

    def __init__(self, graph: Graph, walk: Walk) -> None:
        self._graph, self._walk = graph, walk
        self._variables = weights_by_path(graph)
        self._paths = {id(variable): path for path, variable in self._variables.items()}
        self._classes, self._reasons = walk.labels.resolve()
        gates = {one for labels in walk.gates for one in labels.tolist()}
        self._gate_makers = {made.site for made in walk.made if gates.issuperset(made.labels.tolist())}
        self._groups = self._grouped()
        # Class -> (number of its group, rank in the group).
        self._places = np.full((self._classes.max(initial=0) + 1, 2), -1)
        for number, group in enumerate(self._groups):
            self._places[group] = np.stack([np.full(len(group), number), np.arange(len(group))], axis=1)

    def sites(self, squeeze: bool) -> Sites:
        axes, fields = self._positions(self._walk.axes), self._positions(self._walk.fields)
        readings = self._positions(self._walk.read_in)
        woken = {one for labels in self._walk.woken for one in self._classes[labels].tolist()}
        runs, flows = flows_of(self._walk, self._orders, self._gate_makers), {}
        found: dict[str, Site] = {}
        names: set[str] = set()
        left_out: list[LeftOut] = []
        full_channels = self._full_channels()
        for (number, group), made in zip(enumerate(self._groups), self._first_made(), strict=True):
            slots = tuple(self._slot(key, positions) for key, positions in axes[number].items())
            flow, inputs = runs.get(number), made.inputs if len(made.labels) == len(group) else None
            indicator = self._indicator(made, slots, flow)
            layers = (axis.layer for axis in self._walk.axes.values() if axis.labels is inputs)
            site = Site(
                name=_free_name(made.site, names),
                channels=len(group),
                slots=slots,
                fields=tuple(self._field(key, positions) for key, positions in fields[number].items()),
                layers=tuple(dict.fromkeys([*layers, *(self._walk.axes[key].layer for key in axes[number])])),
                full_channels=self._known_width(indicator, full_channels[number]),
                keeps_zero=woken.isdisjoint(group),
                input_slots=() if inputs is None else self._input_slots(inputs),
                indicator=indicator,
                readings=tuple(Reading(layer, positions) for layer, positions in readings[number].items()),
                input_fields=() if inputs is None else self._input_fields(inputs),
                is_sealed=indicator is None or self._is_sealed(indicator, flow),
            )
            names.add(site.name)
            if flow is not None:
                flows[site.name] = flow
            if not squeeze and self._is_squeeze(axes[number]):
                left_out.append(LeftOut(site.name, site.channels, SQUEEZE))
            else:
                found[site.name] = site
        return Sites(self._graph, found, [*left_out, *self._staying()], self._variables, flows)

    def _grouped(self) -> list[list[int]]:
        """Classes that can leave, by the places where they live."""
        places: dict[int, list[tuple[int, int]]] = collections.defaultdict(list)
        for number, axis in enumerate([*self._walk.axes.values(), *self._walk.fields.values()]):
            classes, counts = np.unique(self._classes[axis.labels], return_counts=True)
            for one, count in zip(classes.tolist(), counts.tolist(), strict=True):
                places[one].append((number, count))
        groups: dict[Any, list[int]] = {}
        for one in dict.fromkeys(one for made in self._walk.made for one in self._classes[made.labels].tolist()):
            if one not in self._reasons:
                groups.setdefault(tuple(places[one]), []).append(one)
        return list(groups.values())

    def _first_made(self) -> list[Made]:
        """Of every group, what made it first."""
        first: dict[int, Made] = {}
        for made in self._walk.made:
            for number in np.unique(self._places[self._classes[made.labels], 0]).tolist():
                first.setdefault(number, made)
        return [first[number] for number in range(len(self._groups))]

    def _full_channels(self) -> list[int]:
        """Of every group, how many the uncut network has, if one of its producers knows."""
        full = [len(group) for group in self._groups]
        for made in self._walk.made:
            number, *others = np.unique(self._places[self._classes[made.labels], 0]).tolist()
            if number >= 0 and not others and len(made.labels) == len(self._groups[number]):
                full[number] = max(full[number], made.full_channels)
        return full

    def _positions(self, axes: Mapping[Any, LabelledAxis]) -> list[dict[Any, np.ndarray]]:
        """Of every group, key of an axis -> (channels, n) positions."""
        found: list[dict[Any, np.ndarray]] = [{} for _ in self._groups]
        for key, axis in axes.items():
            numbers, ranks = self._places[self._classes[axis.labels]].T
            order = np.lexsort((ranks, numbers))
            starts = np.flatnonzero(np.diff(numbers[order], prepend=-2))
            for positions in np.split(order, starts[1:]):
                if (number := int(numbers[positions[0]])) >= 0:
                    found[number][key] = positions.reshape(len(self._groups[number]), -1)
        return found

    def _slot(self, key: tuple[int, int], positions: np.ndarray) -> Slot:
        return Slot(self._paths[key[0]], key[1], positions, self._walk.axes[key].role)

    def _field(self, key: tuple[str, str], positions: np.ndarray) -> Field:
        return Field(*key, positions, self._walk.fields[key].is_list)

    def _input_slots(self, inputs: np.ndarray) -> tuple[Slot, ...]:
        everywhere = np.arange(len(inputs))[:, None]
        return tuple(self._slot(key, everywhere) for key, axis in self._walk.axes.items() if axis.labels is inputs)

    def _input_fields(self, inputs: np.ndarray) -> tuple[Field, ...]:
        everywhere = np.arange(len(inputs))[:, None]
        return tuple(self._field(key, everywhere) for key, axis in self._walk.fields.items() if axis.labels is inputs)

    def _indicator(self, made: Made, slots: tuple[Slot, ...], flow: Flow | None) -> str | None:
        """Path of the kernel of a site's indicator: a dense one, or a diagonal one whose zeros take away all effect."""
        if made.indicator is not None:
            return self._paths[id(made.indicator)]
        gates = (slot for slot in slots if slot.role == GATE and slot.positions.shape[1] == 1)
        whole = (slot for slot in gates if self._variables[slot.path].shape[-1] == len(slot.positions))
        return next((slot.path for slot in whole if self._is_sealed(slot.path, flow)), None)

    def _known_width(self, indicator: str | None, otherwise: int) -> int:
        """Channels in the uncut network, which an indicator of stock layers remembers."""
        kernel = None if indicator is None else self._variables[indicator]
        return self._walk.full_channels.get(id(kernel), otherwise)

    def _is_sealed(self, indicator: str, flow: Flow | None) -> bool:
        """Whether all that reads a site's channels reads zeros where its indicator gives zeros."""
        if flow is None:
            return True  # Inside a gated block.
        layer = next(axis.layer for (key, _), axis in self._walk.axes.items() if self._paths[key] == indicator)
        calls = [call for call in flow.calls if self._graph.names[id(call.operation)] == layer]
        return flow.zeros_reach_readers(x for call in calls for x in call.outputs)

    def _orders(self, labels: np.ndarray) -> dict[int, Order]:
        """Number of every group in a tensor -> ranks of its channels, if the tensor has these and no others."""
        numbers, ranks = self._places[self._classes[labels]].T
        present = np.unique(numbers).tolist()
        if len(present) == 1 and present[0] >= 0:
            whole = np.array_equal(np.sort(ranks), np.arange(len(self._groups[present[0]])))
            return {present[0]: tuple(ranks.tolist()) if whole else None}
        return {number: None for number in present if number >= 0}

    def _is_squeeze(self, keys: Mapping[tuple[int, int], np.ndarray]) -> bool:
        """Whether nothing reads a group's channels but what makes factors for the channels of a map."""
        readers = [self._walk.axes[key].layer for key in keys if self._walk.axes[key].role == READ]
        return bool(readers) and self._gate_makers.issuperset(readers)

    def _staying(self) -> list[LeftOut]:
        """Of every producer, how many channels cannot leave, and why."""
        staying = []
        for made in self._walk.made:
            reasons = collections.Counter(self._reasons.get(one) for one in self._classes[made.labels].tolist())
            staying += [LeftOut(made.site, count, reason) for reason, count in reasons.items() if reason is not None]
        return staying


def weights_by_path(graph: Graph) -> dict[str, keras.Variable]:
    """`<name of the layer in the graph>/<weight>` -> weight, for all layers of a graph."""
    found = {}
    for operation in graph.operations:
        if isinstance(operation, keras.layers.Layer):
            for path, weight in own_paths(operation).items():
                found[f"{graph.names[id(operation)]}/{path}"] = weight
    return found


def own_paths(layer: keras.layers.Layer) -> dict[str, keras.Variable]:
    """Path below a layer -> weight: the same for a copy of the layer under another name."""
    found: dict[str, keras.Variable] = {}
    for weight in layer.weights:
        path = f"/{weight.path}".split(f"/{layer.name}/", 1)[-1].lstrip("/")
        if path in found or NAMELESS.search(path):
            path = f"weight#{len(found)}"
        found[path] = weight
    return found


def _free_name(name: str, taken: set[str]) -> str:
    """A layer can make channels of several sites."""
    number, free = 1, name
    while free in taken:
        free = f"{name}:{(number := number + 1)}"
    return free
