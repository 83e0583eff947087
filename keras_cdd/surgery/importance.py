"""What a channel is worth: one number a channel, larger matters more (NumPy)."""

import numpy as np

IMPORTANCES = ("norm", "fisher", "reset")


def norm_importance(kernels):
    """L2 norm of every output channel's indicator kernel. Site -> (inputs, outputs) gives site -> (outputs,).

    The BatchNorm behind an indicator makes the norms' common scale free, so they only compare within the network.
    """
    return {site: np.linalg.norm(kernel.astype(np.float64), axis=0) for site, kernel in kernels.items()}


def relative_norm_importance(kernels):
    """Squared norms relative to their site's mean: what a global ranking can compare across layers."""
    squares = {site: norms**2 for site, norms in norm_importance(kernels).items()}
    return {site: values / max(values.mean(), np.finfo(np.float64).tiny) for site, values in squares.items()}


def fisher_importance(squared_gate_gradients, images):
    """Fisher score: the mean over images of `(d loss / d gate)^2`, the gate a factor of 1 on the channel.

    To second order it is what the loss gains when the channel goes (Molchanov et al., CVPR 2019, for the form).

    Args:
        squared_gate_gradients: site -> (channels,) sums over images.
        images: how many were summed.
    """
    return {site: sums.astype(np.float64) / max(images, 1) for site, sums in squared_gate_gradients.items()}


def reset_importance(unimportant_counts, updates):
    """How rarely the retrieval-guided reset found a channel unimportant, 0 (always) to 1 (never)."""
    return {site: 1.0 - counts.astype(np.float64) / max(updates, 1) for site, counts in unimportant_counts.items()}


def only_living(importance, kernels):
    """Importance with channels that are exactly zero set to zero, so that they always go first."""
    return {site: np.where(np.any(kernels[site] != 0, axis=0), values, 0.0) for site, values in importance.items()}
