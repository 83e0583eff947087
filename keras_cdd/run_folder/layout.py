"""The names of a run's files, all of them, and what is left of an earlier run."""

import pathlib

FLAGS = "flags.flags"
ENVIRONMENT = "environment.json"
METRICS = "metrics.jsonl"
SURGERY = "surgery.jsonl"
CUTS = "cuts.jsonl"
LOGS = (METRICS, SURGERY, CUTS)
TEACHER, STUDENT, DEPLOY = "teacher.keras", "student.keras", "deploy.keras"
SUMMARY = "summary.json"
EXAMPLES = "examples.json"
REPORT = "report.html"
CHECKPOINTS = "checkpoints"
TENSORBOARD = "tensorboard"

# What says that a run got further than its settings.
PROGRESS = (*LOGS, TEACHER, STUDENT, DEPLOY, SUMMARY, CHECKPOINTS, TENSORBOARD)
RUN_FILES = (FLAGS, ENVIRONMENT, *PROGRESS, EXAMPLES, REPORT)
# What `export.search --show` draws in the quickstart, of a model that is no longer there.
RANKING = "ranking.png"


def exported_name(precision):
    """Name of the file that `export.to_tflite` makes; its measurements have the same name and end in .json."""
    return f"model_{precision}.tflite"


def left_behind(folder):
    """Paths of all that an earlier run and its exports left, unfinished files included; some may not exist.

    Args:
        folder: the workdir.
    """
    folder = pathlib.Path(folder)
    yield from (folder / name for name in (*RUN_FILES, RANKING))
    for model in folder.glob(exported_name("*")):
        yield from (model, model.with_suffix(".json"))
    # Of a kill: `writing.whole` gives its unfinished files such names.
    names = {*RUN_FILES, RANKING}
    for path in folder.glob(".*.new*"):
        name = path.name[1:].partition(".new")[0]
        if name in names or pathlib.PurePath(name).match("model_*.*"):
            yield path
