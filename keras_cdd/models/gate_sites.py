"""Puts indicators at the sites of a model of any layers."""

import re
from typing import Any

import keras

from keras_cdd.annotations import Tensor
from keras_cdd.errors import UserError
from keras_cdd.layers.indicator_kinds import INDICATOR_KINDS
from keras_cdd.models.call import Call
from keras_cdd.models.copies import Copies
from keras_cdd.models.free_names import FreeNames
from keras_cdd.models.reasons import in_words
from keras_cdd.models.restoring import config_of
from keras_cdd.models.sites import Place, Sites, place_of, sites


def gate_sites(model: keras.Model, indicator: str, residual: bool) -> keras.Model:
    """`gate_model` with `indicator="dense"` or `"diagonal"`."""
    found = sites(model, residual=residual)
    tried = {name: place_of(found, name, indicator) for name, site in found.items() if site.indicator is None}
    places = {name: place for name, place in tried.items() if isinstance(place, Place)}
    if not places:
        reasons = {name: reason for name, reason in tried.items() if isinstance(reason, str)}
        words = in_words(reasons) or "no channels can leave, `keras_cdd.sites` says why, or all have an indicator"
        raise UserError(f"`gate_model` finds no place for a {indicator} indicator in {model.name}: {words}.")
    return found.graph.replay(_WithIndicators(found, places, indicator))


class _WithIndicators(Copies):
    """Calls indicators on the way."""

    def __init__(self, found: Sites, places: dict[str, Place], indicator: str) -> None:
        super().__init__(found.graph)
        self._indicators = {name: _Indicator(found, name, indicator, self._free_name) for name, place in places.items()}
        self._behind = {id(call): name for name, place in places.items() for call in place.behind}
        self._edges = {edge: name for name, place in places.items() for edge in place.edges}
        self._split = {
            id(place.split): self._activation(place.split) for place in places.values() if place.split is not None
        }
        self._passed: dict[tuple[str, int], Tensor] = {}

    def __call__(self, call: Call, *args: Any, **kwargs: Any) -> Any:
        def through(old: Any, new: Any) -> Any:
            name = self._edges.get((id(call), id(old)))
            if name is None:
                return new
            if (name, id(old)) not in self._passed:
                self._passed[name, id(old)] = self._indicators[name](new)
            return self._passed[name, id(old)]

        args, kwargs = keras.tree.map_structure(through, (call.args, call.kwargs), (args, kwargs))
        outputs = super().__call__(call, *args, **kwargs)
        if id(call) in self._behind:
            outputs = self._indicators[self._behind[id(call)]](outputs)
        activation = self._split.get(id(call.operation))
        return outputs if activation is None else activation(outputs)

    def copy_of(self, operation: keras.Operation, config: dict[str, Any]) -> keras.Operation:
        if id(operation) in self._split:
            config["activation"] = "linear"
        return super().copy_of(operation, config)

    def _activation(self, producer: keras.layers.Layer) -> keras.layers.Layer:
        """The activation of a producer as a layer of its own."""
        return keras.layers.Activation(
            config_of(producer)["activation"],
            dtype=producer.dtype_policy,
            name=self._free_name(f"{self.name(producer)}_activation"),
        )


class _Indicator:
    """Makes the indicator of a site at its first call."""

    def __init__(self, found: Sites, name: str, kind: str, free_name: FreeNames) -> None:
        self._name = free_name(re.sub("[:/]", "_", f"{name}_indicator"))
        self._kind, self._full_channels = kind, found[name].full_channels
        self._policy = found.flows[name].makers[0].operation.dtype_policy
        self._layer: keras.layers.Layer | None = None

    def __call__(self, x: Tensor) -> Tensor:
        if self._layer is None:
            policy = self._policy if self._policy.compute_dtype == x.dtype else x.dtype
            self._layer = INDICATOR_KINDS[self._kind](full_channels=self._full_channels, dtype=policy, name=self._name)
        return self._layer(x)
