"""The identity loss: classification of the training identities."""

from keras import ops

from keras_cdd.annotations import Tensor


def identity_loss(labels: Tensor, logits: Tensor, label_smoothing: float = 0.1) -> Tensor:
    """Mean cross-entropy with label smoothing (CDD, section 4.1).

    Args:
        labels: (N,) integers from 0 to classes - 1.
        logits: (N, classes).
        label_smoothing: fraction of the target that is spread evenly over all classes, in [0, 1). Default: 0.1.

    Returns:
        Scalar float32.

    Raises:
        ValueError: if `label_smoothing` is outside [0, 1).
    """
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"Argument `label_smoothing` must lie in [0, 1). Received: {label_smoothing}")
    log_probabilities = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    classes = log_probabilities.shape[-1]
    hard = ops.one_hot(labels, classes, dtype="float32")
    target = hard * (1.0 - label_smoothing) + label_smoothing / classes
    return -ops.mean(ops.sum(target * log_probabilities, axis=-1))
