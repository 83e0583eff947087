"""What a channel is worth: one number a channel, larger matters more (NumPy).

`IMPORTANCES` lists the scores that a run can rank channels by; a new one is a function and a row.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from keras_cdd.errors import UserError

Kernels = Mapping[str, np.ndarray]  # Site -> indicator kernel (inputs, outputs).
Values = dict[str, np.ndarray]  # Site -> (outputs,).


def norm_importance(kernels: Kernels) -> Values:
    """L2 norm of every output channel's indicator kernel.

    The BatchNorm behind an indicator makes the norms' common scale free, so they only compare within the network.
    """
    return {site: np.linalg.norm(kernel.astype(np.float64), axis=0) for site, kernel in kernels.items()}


def relative_norm_importance(kernels: Kernels) -> Values:
    """Squared norms relative to their site's mean: what a global ranking can compare across layers."""
    return relative(norm_importance(kernels))


def relative(norms: Mapping[str, np.ndarray]) -> Values:
    """Squares, relative to their site's mean."""
    squares = {site: values**2 for site, values in norms.items()}
    return {site: values / max(values.mean(), np.finfo(np.float64).tiny) for site, values in squares.items()}


def surviving_importance(norms: Mapping[str, np.ndarray]) -> Values:
    """Squares, each relative to the mean of those that are not smaller, over all channels of the site.

    The weaker ones have left when a channel's turn comes. So no site is emptied because its channels are alike (LAMP,
    Lee et al., ICLR 2021, which does this to single weights).
    """
    values = {}
    for site, sizes in norms.items():
        order = np.argsort(sizes, kind="stable")
        squares = np.maximum(sizes[order].astype(np.float64) ** 2, np.finfo(np.float64).tiny)
        values[site] = np.empty(len(sizes))
        values[site][order] = len(sizes) * squares / np.cumsum(squares[::-1])[::-1]
    return values


def fisher_importance(sums: Mapping[str, np.ndarray], images: float) -> Values:
    """Fisher score: the mean over images of `(d loss / d gate)^2`, the gate a factor of 1 on the channel.

    To second order it is what the loss gains when the channel goes (Molchanov et al., CVPR 2019, for the form).

    Args:
        sums: site -> (channels,), of the squares over images.
        images: how many were summed.
    """
    return {site: values.astype(np.float64) / max(images, 1) for site, values in sums.items()}


def reset_importance(counts: Mapping[str, np.ndarray], updates: float) -> Values:
    """How rarely the retrieval-guided reset found a channel unimportant, 0 (always) to 1 (never).

    Args:
        counts: site -> (channels,), sums over batches of the share of images and neighbours that found so.
        updates: how many batches were counted.
    """
    return {site: 1.0 - values.astype(np.float64) / max(updates, 1) for site, values in counts.items()}


@dataclasses.dataclass(frozen=True)
class Importance:
    """A row of `IMPORTANCES`.

    Attributes:
        function: gives site -> (channels,) for the indicator kernels and the evidence.
        gathered_by: name of the part of training (`keras_cdd.distill.Part`) whose `evidence()` the function reads; None
            where the kernels tell all.
    """

    function: Callable[[Kernels, Mapping[str, Any]], Values]
    gathered_by: str | None = None


IMPORTANCES = {
    "norm": Importance(lambda kernels, _: relative_norm_importance(kernels)),
    "fisher": Importance(lambda _, evidence: fisher_importance(**evidence), gathered_by="fisher"),
    "reset": Importance(lambda _, evidence: reset_importance(**evidence), gathered_by="reset"),
}


def importance_of(name: str, kernels: Kernels, evidence: Mapping[str, Any]) -> Values:
    """The importance of every channel by one of `IMPORTANCES`.

    Args:
        name: of the score.
        kernels: site -> indicator kernel (inputs, outputs).
        evidence: what the part `IMPORTANCES[name].gathered_by` has gathered.

    Raises:
        UserError: if a value is not finite, so that it cannot rank channels.
    """
    values = IMPORTANCES[name].function(kernels, evidence)
    broken = [site for site, channels in values.items() if not np.isfinite(channels).all()]
    if broken:
        raise UserError(
            f"The {name} importance of {broken[0]} is not finite, so training has diverged; lower --learning_rate and "
            "start again."
        )
    return values


def only_living(importance: Mapping[str, np.ndarray], kernels: Kernels, least: float = 0.0) -> Values:
    """Importance with channels that are exactly zero set to zero, and all others to `least` at least.

    With a positive `least` the channels that are gone already are removed before any other, whatever its importance.
    """
    return {
        site: np.where(np.any(kernels[site] != 0, axis=0), np.maximum(values, least), 0.0)
        for site, values in importance.items()
    }
