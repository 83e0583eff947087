"""Triplet loss over all pairs of a batch."""

from keras import ops

from keras_cdd.annotations import Tensor
from keras_cdd.losses.distances import euclidean_distances, unit_rows

MININGS = ("batch_hard", "batch_soft")


def triplet_loss(
    labels: Tensor,
    features: Tensor,
    margin: float | None = 0.35,
    mining: str = "batch_hard",
    normalize: bool = False,
) -> Tensor:
    """Triplet loss with batch-hard mining (Hermans et al., 2017) or softly weighted triplets; mean over the batch.

    As in the reference implementation, an image is one of its own positives. An image without negatives has loss 0.

    Args:
        labels: (N,) integers; a batch contains several images of every identity.
        features: (N, D); distances are Euclidean.
        margin: hinge margin, 0.35 by default; None for the soft margin `log(1 + exp(positive - negative))`.
        mining: "batch_hard" (the default) takes the farthest positive and the nearest negative; "batch_soft" weights
            all positives by the softmax of their distances and all negatives by that of their negated distances.
        normalize: scale the features to length 1 first. Default: False.

    Returns:
        Scalar float32.

    Raises:
        ValueError: if `mining` is unknown.
    """
    if mining not in MININGS:
        raise ValueError(f"Argument `mining` must be one of {MININGS}. Received: mining={mining!r}")
    labels = ops.convert_to_tensor(labels)
    features = ops.cast(features, "float32")
    features = unit_rows(features) if normalize else features
    # Set explicitly: rounding errors would make it about a thousandth of the vector's length.
    oneself = ops.equal(*_pairs(ops.arange(ops.shape(labels)[0])))
    distances = ops.where(oneself, 1e-6, euclidean_distances(features, features))
    same = ops.equal(*_pairs(labels))
    mine = _hard if mining == "batch_hard" else _soft
    positive, negative = mine(distances, same), -mine(-distances, ops.logical_not(same))
    if margin is None:
        return ops.mean(ops.softplus(positive - negative))
    return ops.mean(ops.relu(positive - negative + margin))


def _pairs(vector: Tensor) -> tuple[Tensor, Tensor]:
    return vector[:, None], vector[None, :]


def _hard(distances: Tensor, chosen: Tensor) -> Tensor:
    return ops.max(ops.where(chosen, distances, -1e30), axis=1)


def _soft(distances: Tensor, chosen: Tensor) -> Tensor:
    weights = ops.softmax(ops.where(chosen, distances, -1e30), axis=1)
    means = ops.sum(weights * ops.where(chosen, distances, 0.0), axis=1)
    return ops.where(ops.any(chosen, axis=1), means, -1e30)
