"""A whole run: teacher, then the phase loop fit -> plan -> rebuild -> fit, then evaluation."""

from keras_cdd.experiment.experiment import run_experiment

__all__ = ["run_experiment"]
