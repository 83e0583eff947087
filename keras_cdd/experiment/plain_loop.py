"""The loop of `fit_shrinking`."""

import keras

from keras_cdd.distill import Distiller
from keras_cdd.experiment.parts import make_parts
from keras_cdd.experiment.shrink_loop import shrink_loop
from keras_cdd.experiment.surgeon import Surgeon
from keras_cdd.losses import LossWeights
from keras_cdd.surgery.optimizer_slots import require_slots_of_weights

NO_LOSSES = LossWeights(identity=0.0, triplet=0.0, logit=0.0, feature=0.0, embedding=0.0, relation=0.0)


class PlainLoop:
    """Trains with one loss, with surgeries between, and keeps everything in memory.

    Args:
        config: `Config`; its training and surgery sections count.
        model: heavy model.
        batches: `tf.data.Dataset` of (inputs, labels).
        steps: batches per epoch.
        task: function of labels and outputs that returns a scalar.
        validation: `Validation`, or None.
        verbose: 1 prints a line an epoch, 0 nothing.

    Attributes:
        history: name -> list of a value per epoch.
    """

    def __init__(self, config, model, batches, steps, task, validation, verbose):
        self.config = config
        self.batches = batches.repeat()
        self.steps = steps
        self.task = task
        self.validation = validation
        self.verbose = verbose
        self.surgeon = Surgeon(config, model, steps)
        self.history = {}

    def run(self, model, optimizer):
        """Returns the slim model and the history."""
        optimizer.build(model.trainable_variables)
        require_slots_of_weights(optimizer, model.trainable_variables)
        parts = make_parts(self.config, self.surgeon.channels(model).sites, None, self.steps)
        distiller = self._distiller(model, optimizer, parts)
        epochs = self.config.training.epochs
        distiller = shrink_loop(distiller, self.surgeon, 0, epochs, self._fit, self._operate)
        return distiller.student, self.history

    def _distiller(self, model, optimizer, parts):
        task = {"task": (1.0, lambda labels, outputs, _: self.task(labels, outputs))}
        sites = self.surgeon.channels(model).sites
        distiller = Distiller(model, weights=NO_LOSSES, parts=parts, own_losses=task, sites=sites)
        distiller.compile(optimizer)
        return distiller

    def _fit(self, distiller, epoch):
        end = keras.callbacks.LambdaCallback(on_epoch_end=lambda number, logs: self._epoch_end(distiller, number, logs))
        history = distiller.fit(
            self.batches,
            epochs=self.config.training.epochs,
            initial_epoch=epoch,
            steps_per_epoch=self.steps,
            callbacks=[self.surgeon, end],
            shuffle=False,
            verbose=0,
        )
        return history.epoch[-1] + 1

    def _epoch_end(self, distiller, number, logs):
        record = {"loss": logs["loss"], "macs": self.surgeon.without_zeros(distiller.student).macs[1]}
        if self.validation is not None:
            record |= {f"val_{name}": value for name, value in self.validation(distiller.student).items()}
        for name, value in record.items():
            self.history.setdefault(name, []).append(float(value))
        if self.verbose:
            figures = ", ".join(f"{name} {value:.4g}" for name, value in record.items())
            print(f"epoch {number + 1}/{self.config.training.epochs}: {figures}", flush=True)
        if number + 1 < self.config.training.epochs and self.surgeon.wants_rebuild(distiller, number + 1):
            distiller.stop_training = True

    def _operate(self, distiller, epoch, plan):
        images = next(iter(self.batches))[0]
        slim, optimizer, plan, change = self.surgeon.operate(distiller.student, distiller.optimizer, images, plan)
        if self.verbose:
            print(f"surgery after epoch {epoch}: {plan.macs[1]:,} MACs, outputs changed by {change:.1e}", flush=True)
        return self._distiller(slim, optimizer, [part.cut(plan) for part in distiller.parts.values()])
