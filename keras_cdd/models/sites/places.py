"""Where an indicator of a site can stand, or why there is no such place."""

import dataclasses
from typing import TYPE_CHECKING

import keras

from keras_cdd.layers import GatedBlock
from keras_cdd.models.call import Call
from keras_cdd.models.sites.flow import Edge, Flow
from keras_cdd.models.sites.producers import PRODUCERS, end_of_producer, is_linear

if TYPE_CHECKING:
    from keras_cdd.models.sites.sites import Sites


@dataclasses.dataclass(frozen=True)
class Place:
    """Where one indicator stands, called once or several times.

    Attributes:
        behind: calls; everybody who takes what they give takes the indicator's output instead.
        edges: single calls that take a tensor through the indicator, while others take it as it is.
        split: the producer whose own activation must come behind the indicator; None without one.
    """

    behind: tuple[Call, ...] = ()
    edges: frozenset[Edge] = frozenset()
    split: keras.layers.Layer | None = None


def place_of(sites: "Sites", name: str, indicator: str) -> Place | str:
    """The place of a site's indicator in a model without one, or in words why there is none.

    Args:
        sites: of the model.
        name: of the site.
        indicator: "dense": behind the only layer that makes the channels and its BatchNorm, before everything else.
            "diagonal": where all that reads the channels reads zeros if the indicator gives zeros.
    """
    flow = sites.flows.get(name)
    if flow is None:
        return "it is inside a layer"
    return _dense(sites, flow) if indicator == "dense" else _diagonal(sites, flow)


def _dense(sites: "Sites", flow: Flow) -> Place | str:
    graph, makers = sites.graph, flow.makers
    producers = list({id(call.operation): call.operation for call in makers}.values())
    if len(producers) > 1:
        return f"{' and '.join(graph.names[id(layer)] for layer in producers[:3])} make its channels"
    producer, name = producers[0], graph.names[id(producers[0])]
    if type(producer) not in PRODUCERS:
        return f"{name} is neither a convolution nor a dense layer"
    if len(makers) < len(graph.calls_of(producer)) or any(flow.orders[id(call.output)] is None for call in makers):
        return f"{name} makes other channels, too"
    if not is_linear(producer):
        return Place(tuple(makers), split=producer)
    ends = [end_of_producer(graph, call) for call in makers]
    if len({id(call.operation) for call in ends}) > 1 or len(graph.calls_of(ends[0].operation)) > len(ends):
        return f"{name} and the BatchNormalization behind it are called in different places"
    return Place(tuple(ends))


def _diagonal(sites: "Sites", flow: Flow) -> Place | str:
    tensors = [(call, x) for call in flow.calls for x in call.outputs if flow.orders.get(id(x)) is not None]
    for call, x in reversed(tensors):
        if "float" in x.dtype and flow.zeros_reach_readers([x]):
            return Place((call,))
    edges = [(call, x) for call in flow.readers for x in flow.carried(call.inputs)]
    for call, x in edges:
        if isinstance(call.operation, GatedBlock):
            return f"{sites.graph.names[id(call.operation)]} is a gated block, and no factor on its input folds into it"
        if flow.orders[id(x)] is None or "float" not in x.dtype:
            return f"{sites.graph.names[id(call.operation)]} reads its channels among others, or several times each"
        if flow.orders[id(x)] != flow.orders[id(edges[0][1])]:
            return f"{sites.graph.names[id(call.operation)]} reads its channels in another order than others do"
    return Place(edges=frozenset((id(call), id(x)) for call, x in edges))
