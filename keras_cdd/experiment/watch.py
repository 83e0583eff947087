"""What looks on while a run trains."""

import functools
import logging

from keras_cdd.evaluation import Evaluator
from keras_cdd.experiment.time_left import TimeLeft
from keras_cdd.report import LiveReport
from keras_cdd.report.kept_examples import keep_examples


class Watch:
    """The clock, the report, and the student's accuracy on the way.

    Args:
        config: `Config` of the run.
        dataset: `RetrievalDataset`.
        workdir: `Workdir`.

    Attributes:
        time_left: `TimeLeft`.
        report: `LiveReport`.
    """

    def __init__(self, config, dataset, workdir):
        self.config = config
        self.dataset = dataset
        self.workdir = workdir
        self.time_left = TimeLeft(config)
        self.report = LiveReport(workdir.path)

    @functools.cached_property
    def evaluator(self):
        """`Evaluator` of the run's protocol; reads the images when it is first asked for."""
        data = self.config.data
        kept = {"cache_dir": data.cache_dir, "cache_gib": data.cache_gib}
        return Evaluator(self.dataset, tuple(data.image_size), strict=data.strict_data, **kept)

    def accuracy(self, stage, epoch, model):
        """mAP and Rank-1 in percent after an epoch (from 1), where the settings ask for it; else nothing."""
        every = self.config.run.eval_every
        return self._measured(model) if stage == "student" and every and epoch % every == 0 else {}

    def accuracy_at_cut(self, model):
        """The same on either side of a cut."""
        return self._measured(model) if self.config.run.eval_cuts else {}

    def _measured(self, model):
        metrics = self.evaluator.evaluate(model).as_percent()
        return {name: metrics[name] for name in ("mAP", "rank1")}

    def finish(self, models, embeddings, metrics):
        """Keeps rankings and activation maps of a finished run for its report and TensorBoard.

        Pictures are no reason to lose a run: a failure is a warning.

        Args:
            models, embeddings, metrics: see `keep_examples`.
        """
        try:
            epochs = self.config.training.epochs
            keep_examples(self.workdir.path, epochs, self.evaluator, models, embeddings, metrics)
        except Exception:
            logging.warning("The examples of %s could not be drawn; the run goes on.", self.workdir.path, exc_info=True)
        self.report.stale = True
