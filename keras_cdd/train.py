"""Trains a teacher and shrinks a student: `python -m keras_cdd.train --flagfile=... --workdir=...`."""

import os

# Convolution gradients on processors for which TensorFlow does not switch oneDNN on by itself are several times slower.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from keras_cdd.cli import run_command  # noqa: E402
from keras_cdd.flags import config_from_flags, define_flags, flagfile_text  # noqa: E402


def main(_):
    from keras_cdd.experiment import run_experiment

    config = config_from_flags()
    summary = run_experiment(config, flagfile_text(config))
    print(table(summary))


def table(summary):
    """The summary as a table for the screen."""
    lines = [f"{'':<10}{'mAP %':>8}{'Rank-1 %':>10}{'params':>12}{'MACs':>14}"]
    for name in ("teacher", "student", "deploy"):
        row = summary[name]
        accuracy = f"{row['mAP']:>8.2f}{row['rank1']:>10.2f}" if "mAP" in row else f"{'-':>8}{'-':>10}"
        lines.append(f"{name:<10}{accuracy}{row['num_params']:>12,}{row['macs']:>14,}")
    lines.append(f"saved: {summary['params_saved']:.1f} % of the parameters, {summary['macs_saved']:.1f} % of the MACs")
    return "\n".join(lines)


if __name__ == "__main__":
    define_flags()
    run_command(main)
