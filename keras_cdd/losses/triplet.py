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
    """Batch-hard triplet loss (Hermans et al., 2017) or its softly weighted form.

    Args:
        labels: (N,) integers; a batch holds several images of every identity.
        features: (N, D); distances are Euclidean.
        margin: hinge margin; None for the soft margin `log(1 + exp(positive - negative))`.
        mining: "batch_hard" takes the farthest positive and the nearest negative; "batch_soft" weights all
            positives by the softmax of their distance, all negatives by that of the negated distance.
        normalize: scale features to length 1 first.

    As in the reference, an image counts among its own positives. Without any negative its loss is 0.

    Raises:
        ValueError: for an unknown `mining`.
    """
    if mining not in MININGS:
        raise ValueError(f"Argument `mining` must be one of {MININGS}. Received: mining={mining!r}")
    labels = ops.convert_to_tensor(labels)
    features = ops.cast(features, "float32")
    features = unit_rows(features) if normalize else features
    # The distance to oneself by its definition: rounding would leave a thousandth of the vector's length.
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
