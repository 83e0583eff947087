"""How the channels of a site run through the tensors of a graph."""

import collections
import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping

import numpy as np

from keras_cdd.annotations import Tensor
from keras_cdd.models.call import Call
from keras_cdd.models.sites.site import ABSORBS, MADE, READ, WAKES
from keras_cdd.models.sites.walk import Walk

Order = tuple[int, ...] | None
Edge = tuple[int, int]  # (id of a call, id of a tensor that it takes)


@dataclasses.dataclass(frozen=True)
class Flow:
    """The tensors and calls that the channels of one site run through.

    Attributes:
        calls: that take or give channels of the site, in order.
        orders: id of a tensor with channels of the site -> ranks of the channels, if it has all of them, each once, and
            no others; else None.
        acts: see `Walk`.
        factor_makers: ids of the calls that make nothing but factors for what others make.
    """

    calls: list[Call]
    orders: dict[int, Order]
    acts: Mapping[int, set[str]]
    factor_makers: set[int]

    def carried(self, tensors: Iterable[Tensor]) -> list[Tensor]:
        """Those of some tensors that have channels of the site."""
        return [x for x in tensors if id(x) in self.orders]

    def does(self, call: Call, act: str) -> bool:
        return act in self.acts.get(id(call), ())

    @property
    def makers(self) -> list[Call]:
        """The calls that make the channels; those that make factors for them only where there are no others."""
        making = [call for call in self.calls if self.does(call, MADE) and self.carried(call.outputs)]
        return [call for call in making if id(call) not in self.factor_makers] or making

    @property
    def readers(self) -> list[Call]:
        return [call for call in self.calls if self.does(call, READ) and self.carried(call.inputs)]

    def zeros_reach_readers(self, tensors: Iterable[Tensor]) -> bool:
        """Whether all that reads the site's channels reads zeros where these tensors are zero."""
        zero = {id(x) for x in tensors}
        for call in self.calls:
            inputs = [id(x) in zero for x in self.carried(call.inputs)]
            if not inputs:
                continue
            if self.does(call, READ) and not all(inputs):
                return False
            stays = all(inputs) or (self.does(call, ABSORBS) and any(inputs))
            if stays and not self.does(call, MADE) and not self.does(call, WAKES):
                zero |= {id(x) for x in self.carried(call.outputs)}
        return True


def flows_of(
    walk: Walk, orders_of: Callable[[np.ndarray], Mapping[int, Order]], factor_makers: Collection[str]
) -> dict[int, Flow]:
    """Number of a site -> its `Flow`, of the sites whose channels are in tensors of the graph.

    Args:
        walk: finished.
        orders_of: labels of a tensor -> number of every site in it -> ranks of the channels, as in `Flow.orders`.
        factor_makers: names of the layers that make nothing but factors.
    """
    orders: dict[int, dict[int, Order]] = collections.defaultdict(dict)
    calls: dict[int, list[Call]] = collections.defaultdict(list)
    known: dict[int, Mapping[int, Order]] = {}  # Tensors share arrays of labels.
    for call in walk.graph.calls:
        touched: dict[int, None] = {}
        for x in (*call.inputs, *call.outputs):
            labels = walk.channels(x)
            if id(labels) not in known:
                known[id(labels)] = orders_of(labels)
            for number, order in known[id(labels)].items():
                orders[number][id(x)] = order
                touched[number] = None
        for number in touched:
            calls[number].append(call)
    making_factors = {id(call) for call in walk.graph.calls if walk.name(call.operation) in factor_makers}
    return {number: Flow(calls[number], orders[number], walk.acts, making_factors) for number in calls}
