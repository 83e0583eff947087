"""Logs a run while it trains: files, TensorBoard, terminal."""

import shutil
import sys
import time

import keras
import tensorflow as tf
import tqdm

from keras_cdd.models import count_macs, count_params
from keras_cdd.report.duration import duration
from keras_cdd.run_folder import layout


class RunLog(keras.callbacks.Callback):
    """Logs every epoch to `metrics.jsonl` and TensorBoard and prints a line; shows a progress bar on a terminal.

    Args:
        stage: the `PhaseLoop` that trains.
        batch_size: images per step.
    """

    def __init__(self, stage, batch_size):
        super().__init__()
        self.stage = stage
        self.batch_size = batch_size
        self.writer = tf.summary.create_file_writer(str(stage.workdir / layout.TENSORBOARD / stage.name))
        self.bar = None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.started = time.perf_counter()
        self.steps = 0
        if sys.stderr.isatty():
            # A pseudo terminal may report a width of 0; get_terminal_size then returns 80 x 24.
            size = shutil.get_terminal_size()
            self.bar = tqdm.tqdm(
                total=self.params["steps"],
                desc=f"{self._place()}: {self._cost(deployed_cost(self.model.student, self.stage.surgeon))}",
                bar_format="{desc} |{bar}| {n_fmt}/{total_fmt}{postfix}",
                leave=False,
                ncols=size.columns - 1,
                nrows=size.lines,
            )

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.bar is not None:
            elapsed = time.perf_counter() - self.started
            left = self._left(self.epoch, self.steps / self.params["steps"], elapsed)
            self.bar.set_postfix_str(f"loss {float(logs['loss']):.2f}, {left}", refresh=False)
            self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        if self.bar is not None:
            self.bar.close()
        seconds = time.perf_counter() - self.started
        watch, stage = self.stage.watch, self.stage
        watch.time_left.epoch_took(stage.name, epoch, seconds)
        cost = deployed_cost(self.model.student, self.stage.surgeon)
        record = {
            "stage": stage.name,
            "epoch": epoch + 1,
            "phase": stage.phase,
            **{name: float(value) for name, value in logs.items()},
            **watch.accuracy(stage.name, epoch + 1, self.model.student),
            "learning_rate": float(self.model.optimizer.learning_rate),
            **cost,
            "training_macs": count_macs(self.model.student, deployed=False),
            "seconds": round(seconds, 3),
            "images_per_second": round(self.steps * self.batch_size / seconds, 1),
        }
        stage.workdir.append(layout.METRICS, record)
        self._tensorboard(record)
        accuracy = f"mAP {record['mAP']:.2f}, " if "mAP" in record else ""
        print(
            f"{self._place()}: loss {record['loss']:.3f}, {accuracy}{self._cost(cost)}, "
            f"{record['images_per_second']:.0f} images/s, {self._left(epoch + 1)}",
            flush=True,
        )

    def _tensorboard(self, record):
        with self.writer.as_default(step=record["epoch"]):
            for name, value in record.items():
                if isinstance(value, int | float) and name != "epoch":
                    tf.summary.scalar(name, value)
        self.writer.flush()

    def _place(self):
        return f"{self.stage.name} {self.epoch + 1}/{self.stage.epochs} phase {self.stage.phase}"

    def _cost(self, cost):
        """The cost that the budget limits, now and at the end; the current MACs without a budget."""
        surgeon, macs = self.stage.surgeon, cost["macs"] / 1e6
        if surgeon is None or surgeon.schedule is None:
            return f"{macs:.2f} M MACs"
        costs = surgeon.channels(self.model.student).costs
        goal = surgeon.schedule.target * costs.total(surgeon.unit, costs.full_widths)
        if surgeon.unit == "macs":
            return f"{macs:.2f} -> {goal / 1e6:.2f} M MACs"
        if surgeon.unit == "ms":
            return f"{macs:.2f} M MACs, {cost['ms']:.3g} -> {goal:.3g} ms"
        return f"{macs:.2f} M MACs, {cost['num_params'] / 1e3:.1f} -> {goal / 1e3:.1f} k parameters"

    def _left(self, epoch, fraction=0.0, elapsed=0.0):
        seconds = self.stage.watch.time_left.seconds(self.stage.name, epoch, fraction, elapsed)
        return "" if seconds is None else f"{duration(seconds)} left in all"


def deployed_cost(model, surgeon=None):
    """Dict of `num_params` and `macs` of the deployed form, of a model that is cut without the channels that are zero.

    With a budget in milliseconds it has `ms`, too.
    """
    if surgeon is None:
        return {"num_params": count_params(model), "macs": count_macs(model)}
    plan = surgeon.without_zeros(model)
    cost = {"num_params": plan.params[1], "macs": plan.macs[1]}
    if surgeon.unit == "ms":
        cost["ms"] = round(surgeon.channels(model).costs.total("ms", plan.kept_filters), 6)
    return cost
