"""What a run shows and writes while it trains."""

import sys
import time

import keras
import tensorflow as tf
import tqdm

from keras_cdd.models import count_macs, count_params
from keras_cdd.surgery import plan_surgery
from keras_cdd.surgery.sites import gated_units


class RunLog(keras.callbacks.Callback):
    """Writes a line an epoch to `metrics.jsonl` and TensorBoard; shows a bar on a terminal, lines elsewhere.

    Args:
        workdir: `Workdir`.
        stage: "teacher" or "student".
        phase: number of the phase, from 0.
        epochs: of the whole stage.
        batch_size: images a step.
    """

    def __init__(self, workdir, stage, phase, epochs, batch_size):
        super().__init__()
        self.workdir = workdir
        self.stage = stage
        self.phase = phase
        self.epochs = epochs
        self.batch_size = batch_size
        self.writer = tf.summary.create_file_writer(str(workdir / "tensorboard" / stage))
        self.bar = None

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()
        self.steps = 0
        if sys.stderr.isatty():
            title = f"{self.stage} epoch {epoch + 1}/{self.epochs}, phase {self.phase}"
            self.bar = tqdm.tqdm(total=self.params["steps"], desc=title, leave=False)

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.bar is not None:
            self.bar.update()
            self.bar.set_postfix(loss=f"{float(logs['loss']):.3f}")

    def on_epoch_end(self, epoch, logs=None):
        if self.bar is not None:
            self.bar.close()
        seconds = time.perf_counter() - self.started
        macs, params = deployed_cost(self.model.student)
        record = {
            "stage": self.stage,
            "epoch": epoch + 1,
            "phase": self.phase,
            **{name: float(value) for name, value in logs.items()},
            "learning_rate": float(self.model.optimizer.learning_rate),
            "num_params": params,
            "macs": macs,
            "training_macs": count_macs(self.model.student, deployed=False),
            "seconds": round(seconds, 3),
            "images_per_second": round(self.steps * self.batch_size / seconds, 1),
        }
        self.workdir.append("metrics.jsonl", record)
        self._tensorboard(record)
        left = seconds * (self.epochs - epoch - 1)
        print(
            f"{self.stage} {epoch + 1}/{self.epochs} phase {self.phase}: loss {record['loss']:.3f}, "
            f"{macs / 1e6:.2f} M MACs, {record['images_per_second']:.0f} images/s, {left / 60:.1f} min left",
            flush=True,
        )

    def _tensorboard(self, record):
        with self.writer.as_default(step=record["epoch"]):
            for name, value in record.items():
                if isinstance(value, int | float) and name != "epoch":
                    tf.summary.scalar(name, value)
        self.writer.flush()


def deployed_cost(model):
    """(MACs, parameters) of the deployed form, channels that are exactly zero left out."""
    if not gated_units(model):
        return count_macs(model), count_params(model)
    plan = plan_surgery(model)
    return plan.macs[1], plan.params[1]
