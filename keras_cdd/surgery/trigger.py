"""When cutting in place is worth a rebuild."""


def worth_rebuilding(macs_now: int, macs_after: int, finished: bool, least_saving: float = 0.15) -> bool:
    """True if a rebuild would save enough of the training step, or if nothing more will be cut.

    Args:
        macs_now, macs_after: of the training form, before and after the rebuild.
        finished: whether all cuts are done; then any saving is worth it.
        least_saving: fraction of `macs_now` that pays for building and tracing a new model.
    """
    saving = 1 - macs_after / macs_now
    return saving > 0 if finished else saving >= least_saving
