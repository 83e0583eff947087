"""The end of a stage that averages its weights."""

from keras_cdd.distill import reestimate_batch_norm

# With a momentum of 0.9 half a percent of the old statistics is left.
BN_BATCHES = 50


def use_averages(distiller, batches):
    """Gives a student the averages of its weights, and BatchNorm statistics that fit them.

    Args:
        distiller: `Distiller`, compiled with an optimizer of `keras_cdd.optimization`; its student is changed in place.
        batches: finite iterable of (images, labels) for the statistics; those that `freeze_bn` freezes stay.
    """
    optimizer = distiller.optimizer
    getattr(optimizer, "inner_optimizer", optimizer).use_averages(distiller.student.trainable_variables)
    with distiller.freezing.applied():
        reestimate_batch_norm(distiller.student, (images for images, *_ in batches))
