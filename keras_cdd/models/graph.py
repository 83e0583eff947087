"""The graph of a model, be it functional or a `Sequential`."""

from typing import Any

import keras


def functional_graph(layer: Any) -> keras.Model | None:
    """The functional model that a layer is, or that it holds if it is a built `Sequential`; None for all others."""
    inner = getattr(layer, "_functional", layer)
    # Only functional models have operations.
    return inner if hasattr(inner, "operations") else None
