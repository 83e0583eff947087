"""The walk over a graph that gives every channel of every tensor a label."""

import collections
import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_cdd.annotations import Tensor
from keras_cdd.models.call import Call
from keras_cdd.models.graph import Graph
from keras_cdd.models.sites.labels import Labels
from keras_cdd.models.sites.probe import Probe
from keras_cdd.models.sites.site import ABSORBS, ADDED, GATE, MADE, READ, SCALED, WAKES

ONE_BRANCH = "an addition joins it with other channels (residual=True lets them leave together)"


@dataclasses.dataclass(frozen=True)
class LabelledAxis:
    """An axis of a weight, or of an argument of a layer, with a label for every entry."""

    layer: str
    labels: np.ndarray
    role: str = ""
    is_list: bool = False  # Of an argument.


@dataclasses.dataclass(frozen=True)
class Made:
    """Channels that a layer makes."""

    site: str
    labels: np.ndarray
    full_channels: int
    inputs: np.ndarray | None = None  # Of a dense indicator.
    indicator: keras.Variable | None = None  # The kernel, where a dense indicator makes them.


class Walk:
    """What rules see and fill.

    A rule is a function of the walk and of a `Call`. It says with `read`, `make`, `scale` and `add` what the layer's
    weights have to do with the channels of its input, `walk.channels(call.input)`, and returns the labels of the
    channels of its output, or in words why they cannot leave.

    Attributes:
        labels: the `Labels`.
        residual: whether channels that additions join may leave together.
        axes: (id of a weight, axis) -> `LabelledAxis`.
        fields: (name of a layer, argument) -> `LabelledAxis`.
        made: `Made` of all producers, in order.
        read_in: name of a layer -> `LabelledAxis` of its only input, of layers that read channels.
        gates: labels of the tensors that scale channels at all positions alike, as made, before they were merged.
        woken: labels of channels that may be something else than zero although what was made is zero.
        graph: the `Graph`.
        acts: id of a call -> what it does to the channels of its inputs: `MADE`, `READ`, `WAKES`, `ABSORBS`.
        full_channels: id of a diagonal indicator's kernel -> number of channels of the uncut network.
    """

    def __init__(self, graph: Graph, residual: bool, rule_of: Callable[[keras.Operation], "Rule"]) -> None:
        self.labels, self.residual = Labels(), residual
        self.axes: dict[tuple[int, int], LabelledAxis] = {}
        self.fields: dict[tuple[str, str], LabelledAxis] = {}
        self.made: list[Made] = []
        self.read_in: dict[str, LabelledAxis] = {}
        self.gates: list[np.ndarray] = []
        self.woken: list[np.ndarray] = []
        self.acts: dict[int, set[str]] = collections.defaultdict(set)
        self.full_channels: dict[int, int] = {}
        self.graph, self._probe = graph, Probe()
        self._channels: dict[int, np.ndarray] = {}
        for x in keras.tree.flatten(graph.inputs):
            self._channels[id(x)] = self._frozen(x, "an input of the model")
        for self._call in graph.calls:
            call = self._call
            labels = rule_of(call.operation)(self, call)
            if isinstance(labels, str):
                for x in call.inputs:
                    self.labels.freeze(self.channels(x), labels)
                self._channels.update({id(x): self._frozen(x, labels) for x in call.outputs})
            elif len(labels) != call.output.shape[-1]:
                raise ValueError(
                    f"The rule of {type(call.operation).__name__} must give a label for each of the "
                    f"{call.output.shape[-1]} channels of its output. Received: {len(labels)} labels"
                )
            else:
                self._channels[id(call.output)] = labels
        for x in keras.tree.flatten(_read_outside(graph.outputs)):
            self.labels.freeze(self.channels(x), "an output of the model")
        for name, x in _read_by_losses(graph.outputs).items():
            self.read_in[output_name(name)] = LabelledAxis(output_name(name), self.channels(x), READ)

    def channels(self, tensor: Tensor) -> np.ndarray:
        """Labels of a tensor's last axis."""
        return self._channels[id(tensor)]

    def name(self, layer: keras.Operation) -> str:
        return self.graph.names[id(layer)]

    def make(
        self,
        layer: keras.layers.Layer,
        kernel: keras.Variable,
        axis: int,
        bias: keras.Variable | None = None,
        field: str | None = None,
        site: str | None = None,
        full_channels: int | None = None,
        inputs: np.ndarray | None = None,
        is_indicator: bool = False,
    ) -> np.ndarray:
        """A layer makes channels, the same at every call.

        Args:
            layer: that makes them.
            kernel: its weight whose entries along `axis` make a channel each.
            axis: of `kernel`.
            bias: (channels,), if there is one.
            field: the argument of the layer, an int, that says how many there are.
            site: name of the site; the layer's by default.
            full_channels, inputs: see `Site` and `Made`.
            is_indicator: whether `kernel` is that of a dense indicator.

        Returns:
            Labels of the output's channels.
        """
        self.acts[id(self._call)].add(MADE)
        key = (id(kernel), axis % len(kernel.shape))
        if key not in self.axes:
            labels = self.labels.fresh(kernel.shape[axis])
            self._put(layer, kernel, axis, labels, MADE)
            indicator = kernel if is_indicator else None
            self.made.append(Made(site or self.name(layer), labels, full_channels or len(labels), inputs, indicator))
            if bias is not None:
                self._put(layer, bias, 0, labels, MADE)
            if field is not None:
                self.state(layer, field, labels)
        return self.axes[key].labels

    def take_over(self, labels: np.ndarray) -> str | None:
        """What was made becomes the inputs of an indicator and no site; its name, at the first call."""
        site = next((made.site for made in self.made if made.labels is labels), None)
        self.made = [made for made in self.made if made.labels is not labels]
        return site

    def read(self, layer: keras.layers.Layer, weight: keras.Variable, axis: int, labels: np.ndarray) -> None:
        """The entries along an axis take a channel each; where they are zero, the channel has no effect here."""
        self.acts[id(self._call)].add(READ)
        self._put(layer, weight, axis, labels, READ)
        inputs = self._call.inputs
        if len(inputs) == 1 and np.isin(labels, self.channels(inputs[0])).all():
            self.read_in.setdefault(self.name(layer), LabelledAxis(self.name(layer), self.channels(inputs[0]), READ))

    def scale(self, layer: keras.layers.Layer, weight: keras.Variable | None, axis: int, labels: np.ndarray) -> None:
        """The entries along an axis are factors on a channel each."""
        self._put(layer, weight, axis, labels, SCALED)

    def add(self, layer: keras.layers.Layer, weight: keras.Variable | None, axis: int, labels: np.ndarray) -> None:
        """The entries along an axis are added to a channel each, or subtracted."""
        self._put(layer, weight, axis, labels, ADDED)
        if weight is not None:
            self.acts[id(self._call)].add(WAKES)

    def gate(
        self, layer: keras.layers.Layer, kernel: keras.Variable, labels: np.ndarray, full_channels: int | None = None
    ) -> None:
        """The entries along the last axis are a diagonal indicator's factors on a channel each; see `Site`."""
        self._put(layer, kernel, -1, labels, GATE)
        self.full_channels[id(kernel)] = full_channels or len(labels)

    def wake(self, labels: np.ndarray) -> None:
        """Channels may be something else than zero from here on, although they were zero."""
        self.woken.append(labels)
        self.acts[id(self._call)].add(WAKES)

    def state(self, layer: keras.layers.Layer, field: str, labels: np.ndarray, is_list: bool = False) -> None:
        """An argument of a layer states how many channels there are, or lists them; see `Field`."""
        key = (self.name(layer), field)
        if key in self.fields:
            self.labels.merge(self.fields[key].labels, labels)
        else:
            self.fields[key] = LabelledAxis(key[0], labels, is_list=is_list)

    def join(self, first: np.ndarray, second: np.ndarray) -> None:
        """An addition joins channels pair by pair: they leave together, or without `residual` not at all."""
        self.labels.merge(first, second)
        if not self.residual:
            self.labels.freeze(first, ONE_BRANCH)

    def activated(self, layer: keras.layers.Layer, labels: np.ndarray) -> np.ndarray:
        """The channels behind an activation that is part of a layer."""
        answer = self._probe.activation(getattr(layer, "activation", None))
        if not answer.channel_wise:
            self.labels.freeze(labels, f"the activation of {self.name(layer)} mixes channels")
        if not answer.keeps_zero:
            self.wake(labels)
        return labels

    def asked(self, call: Call) -> np.ndarray | str:
        """The rule of operations without weights: what they do to a selection of channels."""
        kind = type(call.operation).__name__
        width = call.outputs[0].shape[-1] if len(call.outputs) == 1 and len(call.outputs[0].shape) > 1 else None
        wide = list({id(x): x for x in call.inputs if x.shape and x.shape[-1] == width}.values())
        narrow = [x for x in call.inputs if not x.shape or x.shape[-1] != width]
        if not isinstance(width, int) or not width or not wide or any(x.shape[-1:] != (1,) for x in narrow):
            return f"{kind} gives other channels than it takes"
        answer = self._probe(call)
        if not answer.channel_wise:
            return f"{kind} mixes channels"
        if not answer.keeps_zero:
            self.wake(self.channels(wide[0]))
        if answer.absorbs:
            self.acts[id(call)].add(ABSORBS)
        for x in narrow:
            self.labels.freeze(self.channels(x), f"{kind} spreads it over all channels")
        if len(wide) > 1:
            self._joined(call, wide, answer.multiplies)
        # What is largest comes first: a gate is the smaller side of a product.
        return self.channels(max(wide, key=_positions))

    def _joined(self, call: Call, wide: list[Tensor], multiplies: bool) -> None:
        first = self.channels(wide[0])
        for x in wide[1:]:
            if multiplies:
                self.labels.merge(first, self.channels(x))
            else:
                self.join(first, self.channels(x))
        if multiplies:
            self.gates += [self.channels(x) for x in wide if _positions(x) < _positions(call.output)]

    def _put(
        self, layer: keras.layers.Layer, weight: keras.Variable | None, axis: int, labels: np.ndarray, role: str
    ) -> None:
        if weight is None:
            return
        key = (id(weight), axis % len(weight.shape))
        if key in self.axes:
            self.labels.merge(self.axes[key].labels, labels)
        else:
            self.axes[key] = LabelledAxis(self.name(layer), labels, role)

    def _frozen(self, tensor: Tensor, reason: str) -> np.ndarray:
        labels = self.labels.fresh(tensor.shape[-1] or 1 if len(tensor.shape) > 1 else 1)
        self.labels.freeze(labels, reason)
        return labels


def _read_outside(outputs: Any) -> Any:
    """The outputs whose channels must stay."""
    losses = _read_by_losses(outputs)
    return {name: x for name, x in outputs.items() if name not in losses} if losses else outputs


def _read_by_losses(outputs: Any) -> dict[str, Tensor]:
    """The outputs that only losses read: the `features` of a retrieval model, unless they are the embedding itself."""
    if not isinstance(outputs, dict) or "embedding" not in outputs or "features" not in outputs:
        return {}
    return {} if outputs["features"] is outputs["embedding"] else {"features": outputs["features"]}


def output_name(output: str) -> str:
    """What stands for an output among the layers that read channels; no layer has such a name."""
    return f"output {output}"


def _positions(tensor: Tensor) -> int:
    """How many positions a map has; an open side counts as many."""
    return int(np.prod([1000 if side is None else side for side in tensor.shape[1:-1]]))


Rule = Callable[[Walk, Call], np.ndarray | str]
