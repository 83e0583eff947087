"""From measured times of layers to a cost that surgery can weigh."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import nnls

from keras_cdd.models.layer_shapes import LayerTimes, Point, TimedLayer
from keras_cdd.models.terms import ONE, Term, Widths


def time_terms(layers: Sequence[TimedLayer], full_widths: Widths, times: LayerTimes) -> list[Term]:
    """Terms whose sum is the time of all layers in milliseconds, as a function of the widths.

    A layer takes `a + b inputs + c outputs + d inputs outputs` (depthwise: `a + c channels`), none of them negative,
    so that fewer channels never take longer. They fit the measured times with the least sum of squared relative errors.

    Args:
        layers: the layers of the deployed form.
        full_widths: site -> channels in the uncut network; fractions of these are timed.
        times: function that times layers.
    """
    points = list(dict.fromkeys(point for layer in layers for point in layer.points(full_widths)))
    known = dict(zip(points, times(points), strict=True))
    return [term for layer in layers for term in _fitted(layer, full_widths, known)]


def _fitted(layer: TimedLayer, full_widths: Widths, known: Mapping[Point, float]) -> list[Term]:
    points = layer.points(full_widths)
    milliseconds = np.array([known[point] for point in points])
    into, out = np.array([channels for _, *channels in points], float).T
    if layer.shape.is_depthwise:
        products = [(ONE, ONE, out**0), (layer.outputs, ONE, out)]
    else:
        left, right = layer.inputs, layer.outputs
        products = [(ONE, ONE, out**0), (left, ONE, into), (right, ONE, out), (left, right, into * out)]
    columns = np.stack([values / values.max() for *_, values in products], axis=1)
    weights, _ = nnls(columns / milliseconds[:, None], np.ones(len(points)))
    found = zip(products, weights, strict=True)
    return [Term(float(weight / values.max()), one, other) for (one, other, values), weight in found if weight > 0]
