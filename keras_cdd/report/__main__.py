"""Draws a run's report.html, of a run that is over, under way or broken off.

    python -m keras_cdd.report --workdir=runs/quickstart
"""

import dataclasses

from absl import flags

from keras_cdd.cli import run_command
from keras_cdd.config import option


@dataclasses.dataclass(frozen=True)
class ReportFlags:
    """What is drawn."""

    workdir: str | None = option(None, "Folder of the run.")
    examples: bool = option(
        False, "Search the run's data again with its models, for the example pictures that a run makes at its end."
    )


def main(_):
    values = flags.FLAGS
    if values.workdir is None:
        raise ValueError("--workdir is missing; give the folder of a run.")
    from keras_cdd.report.page import write_report

    if values.examples:
        from keras_cdd.experiment.finished_run import redo_examples

        redo_examples(values.workdir)
    print(write_report(values.workdir))


def run():
    run_command(main, {"report": ReportFlags})


if __name__ == "__main__":
    run()
