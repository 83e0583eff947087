"""Importance scores: one number per channel, larger is more important (NumPy).

`IMPORTANCES` lists the scores by which a run can rank channels. A new score is a function and a row.
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

    The BatchNorm after an indicator cancels its scale, so norms can only be compared within one network.
    """
    return {site: np.linalg.norm(kernel.astype(np.float64), axis=0) for site, kernel in kernels.items()}


def relative(norms: Mapping[str, np.ndarray]) -> Values:
    """Squared norms divided by the mean of their site, which makes them comparable across layers."""
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
    """Fisher score: the mean over images of `(d loss / d gate)^2`, where the gate is a factor of 1 on the channel.

    It estimates, to second order, the increase of the loss when the channel is removed (form of Molchanov et al.,
    CVPR 2019).

    Args:
        sums: site -> (channels,), sums of the squares over images.
        images: number of images in the sums.

    Returns:
        Site -> float64 (channels,).
    """
    return {site: values.astype(np.float64) / max(images, 1) for site, values in sums.items()}


def reset_importance(counts: Mapping[str, np.ndarray], updates: float) -> Values:
    """How rarely the gradient reset found a channel unimportant, from 0 (always) to 1 (never).

    Args:
        counts: site -> (channels,), sums over batches of the fraction of (image, neighbour) pairs for which the channel
            was unimportant.
        updates: number of batches in the sums.

    Returns:
        Site -> float64 (channels,).
    """
    return {site: 1.0 - values.astype(np.float64) / max(updates, 1) for site, values in counts.items()}


@dataclasses.dataclass(frozen=True)
class Importance:
    """A row of `IMPORTANCES`.

    Attributes:
        function: function of the comparable norms (site -> (channels,), see `Channels.comparable`) and of the evidence
            that returns site -> (channels,).
        gathered_by: name of the part of training (`keras_cdd.distill.Part`) whose `evidence()` the function reads; None
            if it reads only the norms.
    """

    function: Callable[[Mapping[str, np.ndarray], Mapping[str, Any]], Values]
    gathered_by: str | None = None


IMPORTANCES = {
    "norm": Importance(lambda norms, _: dict(norms)),
    "fisher": Importance(lambda _, evidence: fisher_importance(**evidence), gathered_by="fisher"),
    "reset": Importance(lambda _, evidence: reset_importance(**evidence), gathered_by="reset"),
}


def importance_of(name: str, norms: Mapping[str, np.ndarray], evidence: Mapping[str, Any]) -> Values:
    """Computes the importance of every channel by one of `IMPORTANCES`.

    Args:
        name: name of the score.
        norms: site -> (channels,), see `Channels.comparable`.
        evidence: `evidence()` of the part `IMPORTANCES[name].gathered_by`; {} if that is None.

    Returns:
        Site -> (outputs,).

    Raises:
        UserError: if a value is not finite and therefore cannot rank channels.
    """
    values = IMPORTANCES[name].function(norms, evidence)
    broken = [site for site, channels in values.items() if not np.isfinite(channels).all()]
    if broken:
        raise UserError(
            f"The {name} importance of {broken[0]} is not finite, so training has diverged; lower --learning_rate and "
            "start again."
        )
    return values


def only_living(importance: Mapping[str, np.ndarray], living: Mapping[str, np.ndarray], least: float = 0.0) -> Values:
    """Sets the importance of channels that are exactly zero to 0, and that of all others to at least `least`.

    With a positive `least`, zeroed channels are removed before all others, whatever the importance of these is.

    Args:
        importance: site -> (channels,).
        living: site -> bool (channels,), see `Channels.living`.
        least: smallest importance of a living channel, 0.0 by default.

    Returns:
        Site -> (channels,).
    """
    return {site: np.where(living[site], np.maximum(values, least), 0.0) for site, values in importance.items()}
