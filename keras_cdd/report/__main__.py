"""Writes report.html for a run that is finished, in progress or interrupted.

python -m keras_cdd.report --workdir=runs/quickstart
"""

import dataclasses

from absl import flags

from keras_cdd.commands.absl_command import run_command
from keras_cdd.errors import UserError
from keras_cdd.settings.option import option


@dataclasses.dataclass(frozen=True)
class ReportFlags:
    """Flags of this command."""

    workdir: str | None = option(None, "Folder of the run.")
    examples: bool = option(
        False, "Repeat the search that a run makes at its end for the example pictures of its report."
    )
    charts: str | None = option(None, "Folder in which every chart is also saved as an SVG file.")


def main(_):
    values = flags.FLAGS
    if values.workdir is None:
        raise UserError("--workdir is missing; give the folder of a run.")
    from keras_cdd.report.headline import headline_text
    from keras_cdd.report.page import write_charts, write_report
    from keras_cdd.run_folder.reading import RunFiles

    if values.examples:
        from keras_cdd.report.kept_examples import redo_examples

        redo_examples(values.workdir)
    page = write_report(values.workdir)
    if text := headline_text(RunFiles(values.workdir)):
        print(text)
    if values.charts:
        print("charts:", *write_charts(values.workdir, values.charts))
    print(f"report: {page}")


def run():
    run_command(main, {"report": ReportFlags})


if __name__ == "__main__":
    run()
