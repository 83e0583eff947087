"""Trains a teacher and shrinks a student.

    python -m keras_cdd.train --flagfile=keras_cdd/configs/quickstart.flags --workdir=runs/quickstart
"""

from keras_cdd.cli import run_command
from keras_cdd.config import SECTIONS
from keras_cdd.flags import config_from_flags, flagfile_text


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


def run():
    run_command(main, SECTIONS)


if __name__ == "__main__":
    run()
