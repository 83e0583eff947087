"""Plain training that shrinks a model: no teacher, no retrieval, no files."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_cdd.distill import Distiller
from keras_cdd.experiment.parts import make_parts
from keras_cdd.experiment.shrink_loop import shrink_loop
from keras_cdd.experiment.surgeon import Surgeon
from keras_cdd.losses import LossWeights
from keras_cdd.settings.config import Config, SurgeryConfig, TrainingConfig

NO_LOSSES = LossWeights(identity=0.0, triplet=0.0, logit=0.0, feature=0.0, embedding=0.0, relation=0.0)


def fit_shrinking(
    model: keras.Model,
    data: Any,
    loss: str | Callable[..., Any],
    optimizer: str | keras.optimizers.Optimizer = "adam",
    epochs: int = 10,
    target_macs: float | None = None,
    target_params: float | None = None,
    residual: bool = False,
    importance: str = "fisher",
    num_cuts: int = 16,
    cut_end: float | None = None,
    metrics: Sequence[Any] = (),
    validation_data: Any = None,
    steps_per_epoch: int | None = None,
    batch_size: int = 32,
    verbose: int = 1,
) -> tuple[keras.Model, dict[str, list[float]]]:
    """Trains a model while its least important channels leave, to a budget; the rest learns to do without them.

    `model.fit` cannot do this with a callback, since it goes on with the model that it started with. So this function
    has the loop: it fits until enough channels are zero, rebuilds model and optimizer without them, and goes on.

    Args:
        model: functional Keras model or built `Sequential`, gated or not. It is trained in place until the first
            surgery; go on with the model that is returned.
        data: `(x, y)` arrays, or a `tf.data.Dataset` of batches `(x, y)`.
        loss: name of a Keras loss, a `keras.losses.Loss` or a function of labels and outputs that returns a scalar or a
            value per image, which is averaged. For several outputs, such a function of their structure.
        optimizer: name or optimizer; its state goes through every surgery.
        epochs: number of epochs; 10 by default.
        target_macs, target_params: fraction of the model's MACs or parameters to keep, one of the two.
        residual: channels that additions join leave together, see `keras_cdd.sites`. Default: False.
        importance: score that ranks the channels, "fisher" (the default) or "norm".
        num_cuts: number of cuts in which the budget is reached; 16 by default.
        cut_end: epoch at which the last channels are gone. Default: half of `epochs`.
        metrics: Keras metrics or their names, for `validation_data`.
        validation_data: as `data`, evaluated after every epoch. Default: none.
        steps_per_epoch: batches of a `tf.data.Dataset` in an epoch. Default: all; needed if it has no known length.
        batch_size: for arrays; 32 by default.
        verbose: 1 (the default) prints a line an epoch, 0 nothing.

    Returns:
        `(slim, history)`: the slim model, and name -> list of a value per epoch: `loss`, `macs`, and `val_` of loss and
        metrics. `keras_cdd.fuse(slim)` is its deployed form.

    Raises:
        UserError: if a setting is invalid, the budget is out of reach, or no channel can leave.
    """
    batches = _batches(data, batch_size)
    steps = steps_per_epoch or _length(batches)
    surgery = SurgeryConfig(
        target_macs=target_macs,
        target_params=target_params,
        importance=importance,
        num_cuts=num_cuts,
        cut_end=cut_end,
        residual=residual,
    )
    config = Config(training=TrainingConfig(epochs=epochs), surgery=surgery)
    loop = _Loop(config, model, batches, steps, keras.losses.get(loss), metrics, validation_data, batch_size, verbose)
    return loop.run(model, keras.optimizers.get(optimizer))


class _Loop:
    def __init__(self, config, model, batches, steps, loss, metrics, validation_data, batch_size, verbose):
        self.config = config
        self.batches = batches.repeat()
        self.steps = steps
        self.loss = loss
        self.metrics = metrics
        self.validation_data = None if validation_data is None else _batches(validation_data, batch_size)
        self.verbose = verbose
        self.surgeon = Surgeon(config, model, steps)
        self.history = {}

    def run(self, model, optimizer):
        optimizer.build(model.trainable_variables)
        parts = make_parts(self.config, self.surgeon.channels(model).sites, None, self.steps)
        distiller = self._distiller(model, optimizer, parts)
        epochs = self.config.training.epochs
        distiller = shrink_loop(distiller, self.surgeon, 0, epochs, self._fit, self._operate)
        return distiller.student, self.history

    def _distiller(self, model, optimizer, parts):
        task = {"task": (1.0, lambda labels, outputs, _: tf.reduce_mean(self.loss(labels, outputs)))}
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
        if self.validation_data is not None:
            record |= self._validated(distiller.student)
        for name, value in record.items():
            self.history.setdefault(name, []).append(float(value))
        if self.verbose:
            figures = ", ".join(f"{name} {value:.4g}" for name, value in record.items())
            print(f"epoch {number + 1}/{self.config.training.epochs}: {figures}", flush=True)
        if number + 1 < self.config.training.epochs and self.surgeon.wants_rebuild(distiller, number + 1):
            distiller.stop_training = True

    def _validated(self, model):
        trainer = keras.Model(model.inputs, model.outputs if isinstance(model.output, list) else model.output)
        trainer.compile(loss=self.loss, metrics=list(self.metrics))
        values = trainer.evaluate(self.validation_data, verbose=0, return_dict=True)
        return {f"val_{name}": value for name, value in values.items()}

    def _operate(self, distiller, epoch, plan):
        images = next(iter(self.batches))[0]
        slim, optimizer, plan, change = self.surgeon.operate(distiller.student, distiller.optimizer, images, plan)
        if self.verbose:
            print(f"surgery after epoch {epoch}: {plan.macs[1]:,} MACs, outputs changed by {change:.1e}", flush=True)
        return self._distiller(slim, optimizer, [part.cut(plan) for part in distiller.parts.values()])


def _batches(data, batch_size):
    if isinstance(data, tf.data.Dataset):
        return data
    images = tf.data.Dataset.from_tensor_slices(tuple(data))
    return images.shuffle(min(len(images), 10_000), reshuffle_each_iteration=True).batch(batch_size)


def _length(batches):
    length = int(batches.cardinality())
    if length < 1:
        raise ValueError("A data set without a known length needs `steps_per_epoch`. Received: steps_per_epoch=None")
    return length
