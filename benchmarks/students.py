"""Which method gives the best small student? Teacher, data, epochs, batches and losses are the same for all.

    python -m benchmarks.students --run=runs/omniglot --workdir=runs/students --budgets=0.35,0.2

Takes settings and teacher of a finished run of `keras_cdd.train` and trains a student with every method to every
budget, one after the other; finished students are not trained again. Prints one Markdown table. `--validation` names a
second protocol for choosing settings, so that the run's own test data stays unseen until a choice is made. Give the run
`--indicator=dense` or `diagonal`; without, the kind of the indicators depends on the method.
"""

import dataclasses
import json
import pathlib
import statistics
import subprocess
import sys

from absl import flags

from keras_cdd.commands.absl_command import run_command
from keras_cdd.errors import UserError
from keras_cdd.settings.flags import config_from_flagfile
from keras_cdd.settings.option import option

TITLES = {
    "shrunk": "shrunk during training, by Fisher score",
    "sliced": "static: the teacher's weights sliced to the shrunk one's channels",
    "random": "static: the same widths, random weights",
    "one_shot": "ranked and sliced once, at the start",
    "at_end": "cut once, at the end",
    "paper": "lasso + gradient reset, cut once at the end",
    "norm": "shrunk by indicator norms, lasso",
    "norm_reset": "shrunk by indicator norms, lasso + gradient reset",
    "reset": "shrunk by the gradient reset's counts",
    "fisher_reset": "shrunk by Fisher score, with lasso + gradient reset",
    "at_once": "shrunk by Fisher score, channels removed at once instead of fading",
    "early": "shrunk by Fisher score, all cuts in the first quarter",
    "late": "shrunk by Fisher score, cuts until three quarters",
    "few": "shrunk by Fisher score, in 4 cuts",
    "logits": "shrunk by Fisher score, logit and feature distillation only",
}


@dataclasses.dataclass(frozen=True)
class StudentsFlags:
    """Flags of this command."""

    run: str | None = option(None, "Folder of a finished run; all students use its settings and its teacher.")
    workdir: str = option("runs/students", "Folder for the students' runs.")
    budgets: tuple[str, ...] = option(("0.35", "0.2"), "Fractions of the MACs to keep.")
    seeds: tuple[str, ...] = option(("0",), "Seeds of batches, augmentation and fresh weights.")
    ways: tuple[str, ...] = option(tuple(TITLES), "Methods; static ones need `shrunk` before them.")
    validation: str | None = option(None, "A second protocol, for example omniglot_300_val.")


def flags_of(way, epochs, shrunk):
    """The flags that differ from the run's own settings.

    Args:
        way: a key of `TITLES`.
        epochs: epochs of the student.
        shrunk: workdir of the student that was shrunk to the same budget.

    Returns:
        Tuple of flags.
    """
    at_end = ("--num_cuts=1", f"--cut_start={epochs}", f"--cut_end={epochs}", "--bn_reestimate=100")
    static = ("--student=static", f"--kept_filters={shrunk}/student.keras")
    lasso, reset = ("--compression=lasso", "--compression_weight=0.015"), "--gradient_reset_epoch=0"
    return {
        "shrunk": (),
        "sliced": (*static, "--student_init=teacher"),
        "random": (*static, "--student_init=random"),
        "one_shot": ("--nofade", "--num_cuts=1", "--cut_start=0", "--cut_end=0.17"),
        "at_end": at_end,
        "paper": (*at_end, *lasso, f"--gradient_reset_epoch={epochs // 6}", "--importance=norm", "--cut=outputs"),
        "norm": (*lasso, "--importance=norm"),
        "norm_reset": (*lasso, reset, "--importance=norm"),
        "reset": (reset, "--importance=reset"),
        "fisher_reset": (*lasso, reset),
        "at_once": ("--nofade",),
        "early": (f"--cut_start={epochs / 24}", f"--cut_end={epochs / 4}"),
        "late": (f"--cut_end={epochs * 3 / 4}",),
        "few": ("--num_cuts=4",),
        "logits": ("--embedding_weight=0", "--relation_weight=0"),
    }[way]


def main(_):
    values = flags.FLAGS
    if values.run is None or not (pathlib.Path(values.run) / "summary.json").is_file():
        raise UserError(f"--run is the folder of a finished run of keras_cdd.train. Received: {values.run}")
    if unknown := set(values.ways) - set(TITLES):
        raise UserError(f"--ways must be of {', '.join(TITLES)}. Received: {', '.join(unknown)}")
    rows = {}
    for budget in values.budgets:
        for way in values.ways:
            rows[way, budget] = [trained(values, way, budget, seed) for seed in values.seeds]
    print(table(values, rows))


def trained(values, way, budget, seed):
    """Metrics of the deployed student; trains and evaluates it first if necessary."""
    config = config_from_flagfile(f"{values.run}/flags.flags")
    folder = pathlib.Path(values.workdir) / f"seed{seed}" / budget
    workdir = folder / way
    if not (workdir / "summary.json").is_file():
        teacher = config.run.teacher or f"{values.run}/teacher.keras"
        call(
            "train",
            *(f"--flagfile={values.run}/flags.flags", f"--workdir={workdir}", f"--teacher={teacher}", f"--seed={seed}"),
            *(f"--target_macs={budget}", "--eval_every=0", "--noeval_cuts", "--noevaluate_teacher"),
            *flags_of(way, config.training.epochs, folder / "shrunk"),
        )
    found = json.loads((workdir / "summary.json").read_text())
    result = found["deploy"] | {"macs_saved": found["macs_saved"], "params_saved": found["params_saved"]}
    if values.validation:
        other = workdir / f"{values.validation}.json"
        if not other.is_file():
            data = (f"--dataset={values.validation}", f"--data_dir={config.data.data_dir}")
            call("evaluate", f"--model={workdir}/deploy.keras", *data, f"--json={other}")
        result["validation"] = json.loads(other.read_text())["mAP"]
    return result


def call(command, *arguments):
    subprocess.run([sys.executable, "-m", f"keras_cdd.{command}", *arguments], check=True)


def table(values, rows):
    """The Markdown table; several seeds are given as mean (minimum to maximum)."""
    columns = {"mAP": "mAP %", "rank1": "Rank-1 %", "macs_saved": "MACs saved %", "params_saved": "parameters saved %"}
    if values.validation:
        columns = {"validation": f"mAP % on {values.validation}"} | columns
    lines = [f"| student | budget | {' | '.join(columns.values())} |", "|---|---" + "|---" * len(columns) + "|"]
    for (way, budget), results in rows.items():
        cells = [spread([result[key] for result in results]) for key in columns]
        lines.append(f"| {TITLES[way]} | {budget} | {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(values):
    mean = f"{statistics.mean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.2f} to {max(values):.2f})"


def run():
    run_command(main, {"students": StudentsFlags})


if __name__ == "__main__":
    run()
