"""The example pictures of a finished run: saved at its end, or made again from its models."""

import tensorflow as tf

from keras_cdd.errors import UserError
from keras_cdd.evaluation import Evaluator
from keras_cdd.report.examples import Examples
from keras_cdd.run_folder import layout
from keras_cdd.run_folder.reading import RunFiles
from keras_cdd.run_folder.writing import write_json

MODELS = ("teacher", "student", "deploy")


def keep_examples(folder, epochs, evaluator, models, embeddings, metrics):
    """Saves rankings and activation maps of a finished run for its report and TensorBoard.

    Args:
        folder: `pathlib.Path` of the run.
        epochs: number of epochs of the student, the step in TensorBoard.
        evaluator: `Evaluator` of the run's protocol.
        models: "student", "deploy" and, if there is one, "teacher" -> Keras model.
        embeddings: the evaluated ones of these keys -> embeddings of query (queries, D) and gallery (gallery, D).
        metrics: the same keys -> `RankingMetrics`.
    """
    # Rankings are those of the deployed form; activation maps need the student as it was trained.
    names = {"student": "deploy"} | ({"teacher": "teacher"} if "teacher" in metrics else {})
    precisions = {who: metrics[name].average_precisions for who, name in names.items()}
    examples = Examples(evaluator, {who: embeddings[name] for who, name in names.items()}, precisions)
    collected = examples.collect({who: models[who] for who in ("student", "teacher") if who in models})
    write_json(folder / layout.EXAMPLES, collected, indent=None)
    writer = tf.summary.create_file_writer(str(folder / layout.TENSORBOARD / "student"))
    with writer.as_default(step=epochs):
        for number, (kind, picture) in enumerate(examples.strips()):
            tf.summary.image(f"ranking {number + 1}, {kind}", picture[None])
    writer.close()


def redo_examples(path):
    """Evaluates the models of a run again and keeps its examples, as the end of a run does.

    Args:
        path: the workdir.

    Raises:
        MissingFileError: if there is no run, or its data are not where they were.
        UserError: if it is not finished.
    """
    run = RunFiles(path)
    names = [name for name in MODELS if name != "teacher" or "teacher_embeddings" not in run.settings]
    missing = [f"{name}.keras" for name in names if run.size_of(f"{name}.keras") is None]
    if missing or not run.summary:
        raise UserError(f"--workdir {path} is not finished ({', '.join(missing) or layout.SUMMARY} is missing).")
    evaluator = Evaluator(run.dataset, run.image_size, strict=run.config.data.strict_data)
    models = {name: run.model(name) for name in names}
    embeddings = {name: evaluator.embeddings(model) for name, model in models.items() if name != "student"}
    metrics = {name: evaluator.rank(*sides) for name, sides in embeddings.items()}
    keep_examples(run.path, run.config.training.epochs, evaluator, models, embeddings, metrics)
