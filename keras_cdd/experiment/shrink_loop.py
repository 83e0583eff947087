"""The loop of a training that shrinks: fit -> plan -> rebuild -> fit."""


def shrink_loop(distiller, surgeon, epoch, epochs, fit, operate):
    """Trains to the last epoch, with surgeries between; returns the last `Distiller`.

    Args:
        distiller: compiled `Distiller`.
        surgeon: `Surgeon`, or None for a model that is not cut.
        epoch: number of epochs done.
        epochs: number of epochs to train.
        fit: `fit(distiller, epoch)` trains until a rebuild is due or all epochs are done; returns the epochs done.
        operate: `operate(distiller, epoch, plan)` returns the `Distiller` of the slim model; without a `SurgeryPlan`,
            `plan` is None, and all channels that are zero leave.
    """
    while epoch < epochs:
        # The decision depends only on the state at the end of the epoch, so a resumed run decides the same.
        if surgeon is not None and epoch and surgeon.wants_rebuild(distiller, epoch):
            distiller = operate(distiller, epoch, None)
        epoch = fit(distiller, epoch)
    if surgeon is not None and not (plan := surgeon.last_plan(distiller.student, epoch)).is_identity:
        distiller = operate(distiller, epoch, plan)
    return distiller
