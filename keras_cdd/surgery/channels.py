"""What the weights of a model say about the channels of its sites."""

import functools

import keras
import numpy as np

from keras_cdd.layers import GatedBlock
from keras_cdd.models.cost import graph_costs
from keras_cdd.models.costs import CostModel
from keras_cdd.models.graph import embedding_graph
from keras_cdd.models.layer_shapes import LayerTimes
from keras_cdd.models.sites import ADDED, MADE, Site, Sites, Slot
from keras_cdd.surgery.importance import Values, norm_importance, relative, surviving_importance


class Channels:
    """How large the channels of a model's sites are, which of them have an effect, and what they cost.

    Args:
        model: functional Keras model or built `Sequential`.
        sites: its `Sites`, all or some.
        times: what measures layers, for a cost in milliseconds; None (the default) for costs without.
    """

    def __init__(self, model: keras.Model, sites: Sites, times: LayerTimes | None = None) -> None:
        self.sites = sites
        self._model = model
        self._times = times

    @functools.cached_property
    def costs(self) -> CostModel:
        """The `CostModel` of the deployed form over the widths of the sites."""
        return graph_costs(embedding_graph(self._model), self.sites, self._times)

    def dense_kernels(self) -> dict[str, np.ndarray]:
        """Site -> (inputs, channels): kernels of the dense indicators."""
        return {name: kernel for name, kernel in self.sites.kernels().items() if self.sites[name].input_slots}

    def norms(self) -> Values:
        """Site -> (channels,): L2 norms.

        Of the dense indicator's kernel; without one, of the kernels that make a channel, of all producers together,
        without biases, times the factor of a diagonal indicator.
        """
        norms = norm_importance(self.sites.kernels())
        for name, site in self.sites.items():
            if not site.input_slots:
                norms[name] = norms.get(name, 1.0) * self._size(name)
        return {name: norms[name] for name in self.sites}

    def comparable(self, measure: str) -> Values:
        """Site -> (channels,): squares of the norms, made comparable between sites.

        Of dense indicators inside gated blocks they are taken relative to their site's mean. Elsewhere, relative to the
        mean of what is then left of the site, see `surviving_importance`, and times what a channel costs now, so that
        no site is emptied because its channels cost much.

        Args:
            measure: "macs", "params" or "ms".
        """
        blocks = any(isinstance(operation, GatedBlock) for operation in self.sites.graph.operations)
        if blocks and all(site.input_slots for site in self.sites.values()):
            return relative(self.norms())
        living, norms = self.living(), self.norms()
        # Channels that have left count neither as channels nor as costs: a rebuild changes no ranking.
        widths = {site: max(1, int(alive.sum())) for site, alive in living.items()}
        values = surviving_importance({site: norms[site][alive] for site, alive in living.items()})
        found = {site: np.zeros(len(alive)) for site, alive in living.items()}
        for site, alive in living.items():
            found[site][alive] = values[site] * self.costs.of_one_channel(site, measure, widths)
        return found

    def living(self) -> dict[str, np.ndarray]:
        """Site -> bool (channels,): False where a channel can leave and no output changes at all.

        That is where its indicator is zero and nothing is added behind it. Without an indicator, where all that reads
        it has only zeros for it; or where it is made as zero, nothing is added on the way, and it stays zero until it
        is read.
        """
        return {name: self._has_effect(site) & self._is_made(name) for name, site in self.sites.items()}

    def _has_effect(self, site: Site) -> np.ndarray:
        return self._any(list(site.effects)) if site.effects else np.ones(site.channels, bool)

    def _size(self, name: str) -> np.ndarray:
        slots = [slot for slot in self.sites[name].slots if slot.role == MADE]
        return np.sqrt(sum(self._squares(slot) for slot in slots if len(self.sites.variables[slot.path].shape) > 1))

    def _is_made(self, name: str) -> np.ndarray:
        if self.sites[name].indicator is not None or not self.sites[name].keeps_zero:
            return np.ones(self.sites[name].channels, bool)
        return self._any([slot for slot in self.sites[name].slots if slot.role in (MADE, ADDED)])

    def _any(self, slots: list[Slot]) -> np.ndarray:
        return np.any([self._squares(slot) != 0 for slot in slots], axis=0)

    def _squares(self, slot: Slot) -> np.ndarray:
        """(channels,): sums of the squares of all entries of a channel."""
        array = keras.ops.convert_to_numpy(self.sites.variables[slot.path]).astype(np.float64)
        array = np.moveaxis(array, slot.axis, 0)
        return (array**2).reshape(len(array), -1).sum(axis=1)[slot.positions].sum(axis=1)
