"""Decides whether a rebuild is worth its cost."""


def worth_rebuilding(macs_now: int, macs_after: int, finished: bool, least_saving: float = 0.15) -> bool:
    """True if a rebuild saves enough of the training step, or anything at all after the last cut.

    Args:
        macs_now, macs_after: MACs of the training form before and after the rebuild.
        finished: whether all cuts are done; then any saving is enough.
        least_saving: fraction of `macs_now` that must be saved to pay for building and tracing a new model; 0.15 by
            default.
    """
    saving = 1 - macs_after / macs_now
    return saving > 0 if finished else saving >= least_saving
