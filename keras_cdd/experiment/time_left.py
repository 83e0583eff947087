"""How long the rest of a run will take."""

import statistics


class TimeLeft:
    """Learns from every epoch how long a unit of work takes, and knows how much work is left.

    A forward pass counts one and a backward pass two, times what the network still has of its multiply-adds; the
    student's epochs have the teacher's forward pass too and get lighter as its channels go. The evaluation at the end
    is left out.

    Args:
        config: `Config` of the run.
    """

    def __init__(self, config):
        self.config = config
        self.epochs = {"teacher": config.training.teacher_epochs, "student": config.training.epochs}
        self.seconds_per_work = []

    def epoch_took(self, stage, epoch, seconds):
        """Tells it the duration of an epoch, counted from 0."""
        self.seconds_per_work = [*self.seconds_per_work[-4:], seconds / self.work(stage, epoch)]

    def seconds(self, stage, epoch, fraction=0.0, elapsed=0.0):
        """Seconds to the end of the student's training, or None before anything is known.

        Args:
            stage, epoch: under way, the epoch from 0.
            fraction, elapsed: of the epoch that is done, and its seconds so far.
        """
        if self.seconds_per_work:
            # The median passes over epochs that traced a new graph.
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
        """Units of work of an epoch, in passes through the uncut network."""
        return 3.0 if stage == "teacher" else 1.0 + 3.0 * self._share(epoch)

    def _share(self, epoch):
        """What the student has of its multiply-adds in an epoch, about."""
        config = self.config
        if config.run.student != "cdd" or not config.has_budget:
            return 1.0
        target = config.surgery.target_macs or config.surgery.target_params
        duration = max(config.cut_end - config.cut_start, 1e-9)
        cut = min(max((epoch - config.cut_start) / duration, 0.0), 1.0)
        return 1.0 - cut * (1.0 - target)
