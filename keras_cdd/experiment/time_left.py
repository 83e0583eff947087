"""Estimates the remaining time of a run."""

import statistics


class TimeLeft:
    """Measures how long a unit of work takes, and estimates how much work is left.

    A forward pass counts one unit and a backward pass two, times the fraction of the uncut network's MACs that is left.
    An epoch of the student includes the teacher's forward pass, and gets cheaper as channels are removed. The
    evaluation at the end is not included.

    Args:
        config: `Config` of the run.
    """

    def __init__(self, config):
        self.config = config
        self.epochs = {"teacher": config.training.teacher_epochs, "student": config.training.epochs}
        self.seconds_per_work = []

    def epoch_took(self, stage, epoch, seconds):
        """Records the duration of an epoch (counted from 0) in seconds."""
        self.seconds_per_work = [*self.seconds_per_work[-4:], seconds / self.work(stage, epoch)]

    def seconds(self, stage, epoch, fraction=0.0, elapsed=0.0):
        """Estimates the seconds to the end of the student's training; None before the first step.

        Args:
            stage: current stage, "teacher" or "student".
            epoch: current epoch, counted from 0.
            fraction: part of the epoch that is done, 0..1; 0 by default.
            elapsed: seconds since the start of the epoch; 0 by default.
        """
        if self.seconds_per_work:
            # The median ignores single epochs that were slow because they traced a new graph.
            pace = statistics.median(self.seconds_per_work)
        elif fraction > 0:
            pace = elapsed / (fraction * self.work(stage, epoch))
        else:
            return None
        rest = [self.work(stage, later) for later in range(epoch, self.epochs[stage])]
        if stage == "teacher":
            rest += [self.work("student", later) for later in range(self.epochs["student"])]
        done = fraction * rest[0] if rest else 0.0
        return pace * (sum(rest) - done)

    def work(self, stage, epoch):
        """Work of an epoch in forward passes through the uncut network."""
        return 3.0 if stage == "teacher" else 1.0 + 3.0 * self._share(epoch)

    def _share(self, epoch):
        """Approximate fraction of its MACs that the student still has in an epoch."""
        config = self.config
        # What milliseconds are of the heavy student's time is not known here.
        target = config.surgery.target_macs or config.surgery.target_params
        if config.run.student != "cdd" or target is None:
            return 1.0
        duration = max(config.cut_end - config.cut_start, 1e-9)
        cut = min(max((epoch - config.cut_start) / duration, 0.0), 1.0)
        return 1.0 - cut * (1.0 - target)
