"""Observes a run while it trains."""

import functools
import logging

from keras_cdd.evaluation import Evaluator
from keras_cdd.experiment.time_left import TimeLeft
from keras_cdd.report import LiveReport
from keras_cdd.report.kept_examples import keep_examples


class Watch:
    """Estimates the remaining time, updates the report and measures the student's accuracy during training.

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
        """The `Evaluator` of the run's protocol; reads the images at the first access."""
        data = self.config.data
        kept = {"cache_dir": data.cache_dir, "cache_gib": data.cache_gib}
        return Evaluator(self.dataset, tuple(data.image_size), strict=data.strict_data, **kept)

    def accuracy(self, stage, epoch, model):
        """Dict of `mAP` and `rank1` in percent after an epoch (counted from 1) if `--eval_every` asks for it; or {}."""
        every = self.config.run.eval_every
        return self._measured(model) if stage == "student" and every and epoch % every == 0 else {}

    def accuracy_at_cut(self, model):
        """Dict of `mAP` and `rank1` in percent before or after a cut if `--eval_cuts` is set, else {}."""
        return self._measured(model) if self.config.run.eval_cuts and self.workdir.team.is_chief else {}

    def _measured(self, model):
        metrics = self.evaluator.evaluate(model).as_percent()
        return {name: metrics[name] for name in ("mAP", "rank1")}

    def finish(self, models, embeddings, metrics):
        """Saves rankings and activation maps of a finished run for its report and TensorBoard.

        A failure is only logged as a warning, so that it does not lose the run.

        Args:
            models, embeddings, metrics: see `keep_examples`.
        """
        try:
            epochs = self.config.training.epochs
            keep_examples(self.workdir.path, epochs, self.evaluator, models, embeddings, metrics)
        except OSError as error:
            logging.warning("The examples of %s could not be kept (%s); the run goes on.", self.workdir.path, error)
        except Exception:
            logging.warning("The examples of %s could not be drawn; the run goes on.", self.workdir.path, exc_info=True)
        self.report.stale = True
