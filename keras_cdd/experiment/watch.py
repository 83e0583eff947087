"""What looks on while a run trains."""

import functools
import json
import logging

import tensorflow as tf

from keras_cdd.evaluation import Evaluator
from keras_cdd.experiment.time_left import TimeLeft
from keras_cdd.report import LiveReport
from keras_cdd.report.examples import Examples


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
            models: "teacher", "student", "deploy" -> Keras model.
            embeddings: the same keys -> (query, gallery) embeddings, of those that were evaluated.
            metrics: the same keys -> `RankingMetrics`.
        """
        try:
            # What searches is the deployed form; what is drawn from inside, the student as it was trained.
            names = {"student": "deploy"} | ({"teacher": "teacher"} if "teacher" in metrics else {})
            precisions = {who: metrics[name].average_precisions for who, name in names.items()}
            examples = Examples(self.evaluator, {who: embeddings[name] for who, name in names.items()}, precisions)
            collected = examples.collect({who: models[who] for who in ("student", "teacher")})
            self.workdir.write_text("examples.json", json.dumps(collected) + "\n")
            writer = tf.summary.create_file_writer(str(self.workdir / "tensorboard" / "student"))
            with writer.as_default(step=self.config.training.epochs):
                for number, (kind, picture) in enumerate(examples.strips()):
                    tf.summary.image(f"ranking {number + 1}, {kind}", picture[None])
            writer.close()
        except Exception:
            logging.warning("The examples of %s could not be drawn; the run goes on.", self.workdir.path, exc_info=True)
        self.report.stale = True
