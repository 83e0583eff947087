"""Classification of the training identities."""

from keras import ops


def identity_loss(labels, logits, label_smoothing=0.1):
    """Mean cross-entropy with label smoothing (CDD, section 4.1).

    Args:
        labels: (N,) integers.
        logits: (N, classes).
        label_smoothing: share of the target spread evenly over all classes.
    """
    log_probabilities = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    classes = log_probabilities.shape[-1]
    target = ops.one_hot(labels, classes) * (1.0 - label_smoothing) + label_smoothing / classes
    return -ops.mean(ops.sum(target * log_probabilities, axis=-1))
