"""Loss and metrics of a model on validation data."""

import keras
import tensorflow as tf

from keras_cdd.distill.penalty import penalty
from keras_cdd.experiment.task_loss import only


class Validation:
    """Computes loss and metrics of a model on all batches: name -> value.

    Args:
        batches: `tf.data.Dataset` of (inputs, labels).
        task: function of labels and outputs that returns a scalar.
        metrics: Keras metrics or their names; for one output only.
    """

    def __init__(self, batches, task, metrics):
        self.batches = batches
        self.task = task
        for metric in metrics:
            if isinstance(metric, keras.metrics.Metric):
                metric.reset_state()
        # Resolves the names of metrics.
        self.meter = keras.Model()
        self.meter.compile(metrics=list(metrics))
        self.has_metrics = bool(metrics)

    def __call__(self, model):
        @tf.function
        def compute(inputs):
            return model(inputs, training=False), penalty(model)

        mean, values = keras.metrics.Mean(), {}
        self.meter.reset_metrics()
        for inputs, labels in self.batches:
            outputs, extra = compute(inputs)
            mean.update_state(self.task(labels, outputs) + extra, len(keras.tree.flatten(outputs)[0]))
            if self.has_metrics:
                values = self.meter.compute_metrics(inputs, only(labels), only(outputs))
        return {"loss": mean.result()} | {name: value for name, value in values.items() if name != "loss"}
