"""The names of all files of a run, and the list of those that an earlier run left."""

import pathlib

FLAGS = "flags.flags"
ENVIRONMENT = "environment.json"
METRICS = "metrics.jsonl"
SURGERY = "surgery.jsonl"
CUTS = "cuts.jsonl"
LOGS = (METRICS, SURGERY, CUTS)
TEACHER, STUDENT, DEPLOY = "teacher.keras", "student.keras", "deploy.keras"
CHANNELS = "channels.json"
LATENCY = "latency.json"
SUMMARY = "summary.json"
# Models that `keras_cdd.evaluate --workdir` measured on the run's protocol.
EVALUATIONS = "evaluations.jsonl"
EXAMPLES = "examples.json"
REPORT = "report.html"
CHECKPOINTS = "checkpoints"
TENSORBOARD = "tensorboard"

# Any of these shows that a run got further than writing its settings.
PROGRESS = (*LOGS, TEACHER, CHANNELS, STUDENT, DEPLOY, SUMMARY, CHECKPOINTS, TENSORBOARD)
RUN_FILES = (FLAGS, ENVIRONMENT, LATENCY, *PROGRESS, EVALUATIONS, EXAMPLES, REPORT)
# Written by `export.search --show` in the quickstart; outdated when the run starts again.
RANKING = "ranking.png"


def exported_name(precision):
    """Name of the file that `export.to_tflite` writes; its report has the same name with the suffix .json."""
    return f"model_{precision}.tflite"


def left_behind(folder):
    """Yields the paths of all files that an earlier run and its exports may have left, except its settings.

    Some may not exist.

    Args:
        folder: the workdir.
    """
    folder = pathlib.Path(folder)
    yield from (folder / name for name in (*RUN_FILES[1:], RANKING))
    for model in folder.glob(exported_name("*")):
        yield from (model, model.with_suffix(".json"))
    # Unfinished files of a killed process, as `writing.whole` names them.
    names = {*RUN_FILES, RANKING}
    for path in folder.glob(".*.new*"):
        name = path.name[1:].partition(".new")[0]
        if name in names or pathlib.PurePath(name).match("model_*.*"):
            yield path
