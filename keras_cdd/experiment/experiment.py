"""A whole run: teacher, student, deployed form, summary."""

import contextlib
import dataclasses
import functools
import time

import keras
import tensorflow as tf

from keras_cdd.data.embedding_file import EmbeddingFile
from keras_cdd.data.registry import folder_of, load_dataset
from keras_cdd.data.training_data import TrainingData
from keras_cdd.distill import STRATEGIES, reestimate_batch_norm
from keras_cdd.distill.team import Team
from keras_cdd.evaluation.embed import as_embedder
from keras_cdd.experiment.common_ground import (
    agreed_compression,
    agreed_weights,
    agreed_with_embeddings,
    require_indicators,
)
from keras_cdd.experiment.given_models import load_teacher
from keras_cdd.experiment.latency import latency_ms
from keras_cdd.experiment.latency_table import latency_table
from keras_cdd.experiment.networks import indicated, make_heavy_student, make_teacher, student_architecture
from keras_cdd.experiment.parts import loss_weights
from keras_cdd.experiment.phase_loop import PhaseLoop
from keras_cdd.experiment.run_log import deployed_cost
from keras_cdd.experiment.static_cut import StaticCut
from keras_cdd.experiment.surgeon import Surgeon
from keras_cdd.experiment.watch import Watch
from keras_cdd.losses import LOSSES
from keras_cdd.models import cost_model
from keras_cdd.optimization.precision import PRECISIONS
from keras_cdd.run_folder import layout
from keras_cdd.run_folder.reading import load_model
from keras_cdd.run_folder.workdir import Workdir, environment
from keras_cdd.surgery import fuse


def run_experiment(config, flagfile):
    """Trains, shrinks, fuses and evaluates as `config` says.

    Args:
        config: `Config`.
        flagfile: the settings as the text of a flagfile; saved in the workdir.

    Returns:
        The dict that is written as `summary.json`: metrics in percent, MACs, parameters, latency in milliseconds,
        seconds of training, and the savings in percent; None in a worker that is not the chief.

    Raises:
        UserError: if the data, the workdir, the teacher or the budget cannot be used.
    """
    dataset = load_dataset(config.data.dataset, config.data.data_dir, config.data.csv, download=config.data.download)
    dataset.validate()
    strategy = STRATEGIES[config.training.strategy]()
    team = Team(strategy)
    with team.explained():
        workdir = Workdir(config.run.workdir, flagfile, config.run.resume, config.named_paths, team)
        with contextlib.closing(workdir), workdir.explained():
            return _run(config, dataset, workdir, strategy)


def _run(config, dataset, workdir, strategy):
    if workdir.team.is_chief:
        workdir.write_json("environment.json", environment(config.training.seed))
    _set_up(config.training)
    teaching, share = _teaching(config), workdir.team.share
    data = TrainingData(dataset, config.data, config.training.seed, teaching, config.needs_labels, share)
    watch = Watch(config, dataset, workdir)
    with watch.report:
        with strategy.scope():
            started = time.perf_counter()
            times = latency_table(config, workdir)
            teacher = _teacher(config, data, workdir, watch, times)
            taught = time.perf_counter()
            student = _student(config, data, workdir, watch, teacher, times)
            deploy = fuse(student)
            workdir.save_model("deploy.keras", deploy)
            learnt = time.perf_counter()
        if not workdir.team.is_chief:
            workdir.team.barrier()
            return None
        models = {} if teacher is None else {"teacher": teacher}
        models |= {"student": student, "deploy": deploy}
        embedders = {name: as_embedder(model) for name, model in models.items()}
        embeddings = {
            name: watch.evaluator.embeddings(embedder)
            for name, embedder in embedders.items()
            if name != "teacher" or config.run.evaluate_teacher
        }
        metrics = {name: watch.evaluator.rank(*sides) for name, sides in embeddings.items()}
        summary = _summary(models, metrics, workdir) | asymmetric_accuracy(embeddings, watch.evaluator)
        summary["latency_ms"] = {name: latency_ms(embedder) for name, embedder in embedders.items()}
        summary["seconds"] = {"teacher": round(taught - started, 1), "student": round(learnt - taught, 1)}
        workdir.write_json("summary.json", summary)
        watch.finish(models, embeddings, metrics)
    workdir.team.barrier()
    return summary


def _teaching(config):
    """The `EmbeddingFile` of `--teacher_embeddings`, or None."""
    given = config.run.teacher_embeddings
    return None if given is None else EmbeddingFile(given, folder_of(config.data))


def _set_up(config):
    keras.utils.set_random_seed(config.seed)
    keras.mixed_precision.set_global_policy(PRECISIONS[config.mixed_precision])
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()


def _teacher(config, data, workdir, watch, times):
    """The teacher: given by `--teacher`, loaded from the workdir, or trained now; None with `--teacher_embeddings`."""
    if config.run.teacher_embeddings is not None:
        return None
    if config.run.teacher is not None:
        return _loaded_teacher(config.run.teacher, config, data.dataset)
    if workdir.awaited("teacher.keras"):
        return _loaded_teacher(workdir / "teacher.keras", config, data.dataset)
    keras.utils.set_random_seed(config.training.seed)
    fresh = make_teacher(config, data.dataset, data.sample)
    # Refuses a student that cannot be made, compressed or cut that far before the teacher is trained, not after.
    student = indicated(student_architecture(config, data.dataset, fresh)[0], config)
    require_indicators(config, student)
    if config.run.student == "cdd":
        Surgeon(config, student, data.steps_per_epoch, times=times)
    elif config.run.student == "static":
        StaticCut(student, config.run.kept_filters, config.surgery.residual)
    teacher = PhaseLoop("teacher", config, data, workdir, config.training.teacher_epochs, watch).run(fresh)
    workdir.save_model("teacher.keras", teacher)
    workdir.team.align(teacher.weights)
    return teacher


def _loaded_teacher(path, config, dataset):
    return load_teacher(path, tuple(config.data.image_size), dataset.num_identities)


def _student(config, data, workdir, watch, teacher, times):
    """The student: loaded from the workdir, or trained and shrunk now."""
    if workdir.awaited("student.keras"):
        return load_model(workdir / "student.keras", "Model", "remove it to train it again")
    keras.utils.set_random_seed(config.training.seed + 1)
    student, surgeon, cut = make_heavy_student(config, data.dataset, teacher, data.sample), None, None
    config, lines = _agreed(config, student, teacher, data.teaching)
    for line in lines:
        workdir.team.say(line)
    if config.run.student == "cdd":
        log, team = functools.partial(workdir.append, layout.CUTS), workdir.team
        surgeon = Surgeon(config, student, data.steps_per_epoch, log, watch.accuracy_at_cut, times, team)
    elif config.run.student == "static":
        cut = StaticCut(student, config.run.kept_filters, config.surgery.residual)
        student = cut.applied(student, random=config.run.student_init == "random")
    loop = PhaseLoop("student", config, data, workdir, config.training.epochs, watch, teacher, surgeon, cut)
    student = loop.run(student)
    if config.surgery.bn_reestimate:
        batches = data.batches(start_epoch=config.training.epochs).take(config.surgery.bn_reestimate)
        reestimate_batch_norm(student, (images for images, *_ in batches))
    if (cutter := surgeon or cut) is not None:
        workdir.write_json(layout.CHANNELS, cutter.record())
    workdir.save_model("student.keras", student)
    workdir.team.align(student.weights)
    return student


def _agreed(config, student, teacher, teaching):
    """The settings without what this teacher cannot give this student, and lines that say what that is."""
    require_indicators(config, student)
    if teaching is None:
        weights, lines = agreed_weights(student, teacher, loss_weights(config.distill), config.surgery.residual)
    else:
        weights, lines = agreed_with_embeddings(student, teaching.embedding_size, loss_weights(config.distill))
    compression, more = agreed_compression(config, student, teacher)
    agreed = {f"{name}_weight": getattr(weights, name) for name in LOSSES}
    distill = dataclasses.replace(config.distill, **agreed)
    return dataclasses.replace(config, distill=distill, compression=compression), [*lines, *more]


def asymmetric_accuracy(embeddings, evaluator):
    """The accuracy of the student's queries in the teacher's gallery, as an entry of the summary.

    Args:
        embeddings: "student" and, if it was evaluated, "teacher" -> embeddings of query (queries, D) and gallery
            (gallery, D).
        evaluator: `Evaluator`.

    Returns:
        Dict with the percentages as `asymmetric`; empty without a teacher or if its embeddings have another length.
    """
    teacher, student = embeddings.get("teacher"), embeddings["student"]
    if teacher is None or teacher[1].shape[1] != student[0].shape[1]:
        return {}
    return {"asymmetric": evaluator.rank(student[0], teacher[1]).as_percent()}


def _summary(models, metrics, workdir):
    """The summary; savings compare the deployed model with the deployed form of the heavy student."""
    summary = {}
    for name, model in models.items():
        summary[name] = deployed_cost(model)
        if name in metrics:
            summary[name] = metrics[name].as_percent() | summary[name]
    if workdir.has(layout.CHANNELS):
        heavy = workdir.read_json(layout.CHANNELS)["heavy"]
    else:
        costs = cost_model(models["student"])
        heavy = {"macs": costs.macs(costs.full_widths), "num_params": costs.params(costs.full_widths)}
    summary["macs_saved"] = round(100 * (1 - summary["deploy"]["macs"] / heavy["macs"]), 3)
    summary["params_saved"] = round(100 * (1 - summary["deploy"]["num_params"] / heavy["num_params"]), 3)
    return summary
