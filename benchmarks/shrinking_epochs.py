"""Does an epoch get faster as the student shrinks? The phases of a finished run, timed side by side.

    python -m benchmarks.shrinking_epochs --workdir=runs/omniglot_300

Rebuilds the student of every phase from the run's `surgery.jsonl` and times training steps on random images, all
phases in turn in every round, so that other load on the machine hits all alike. "student" is the student's part of a
step (forward, backward, update); the seconds of an epoch add the teacher's forward pass. The last row has one channel
left in every site: what it still costs is the uncuttable outer width - stem, shortcuts, the blocks' inputs and outputs
with their BatchNorm and ReLU, and the head.
"""

import json
import pathlib
import statistics
import time

import keras
import tensorflow as tf
from absl import app, flags

from keras_cdd.distill import Distiller
from keras_cdd.experiment.networks import copy_weights, static_student
from keras_cdd.models import count_macs, with_indicators
from keras_cdd.optimization import MomentumSGD
from keras_cdd.surgery.sites import gated_units

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of a finished run with --indicators=both.", required=True)
TEACHER = flags.DEFINE_string("teacher", None, "Its teacher; teacher.keras of the workdir by default.")
BATCH = flags.DEFINE_integer("batch_size", 64, "Images a step.")
STEPS = flags.DEFINE_integer("steps", 10, "Timed steps of every phase in a round.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds; medians are shown.")


def main(_):
    workdir = pathlib.Path(WORKDIR.value)
    teacher = keras.saving.load_model(TEACHER.value or workdir / "teacher.keras", compile=False)
    lines = [json.loads(line) for line in (workdir / "surgery.jsonl").read_text().splitlines()]
    heavy = with_indicators(teacher, "both")
    copy_weights(teacher, heavy)
    widths = [{site: unit.filters for site, unit in gated_units(heavy).items()}]
    widths += [line["kept_filters_after"] for line in lines]
    widths += [dict.fromkeys(widths[0], 1)]
    students = [static_student(heavy, ",".join(map(str, kept.values())), random=False) for kept in widths]
    epochs = [0, *(line["epoch"] for line in lines), None]
    report(students, epochs, teacher, json.loads((workdir / "metrics.jsonl").read_text().splitlines()[0]))


def report(students, epochs, teacher, first_epoch):
    """Times all students in turn and prints the table."""
    images = tf.random.uniform((BATCH.value, *teacher.input.shape[1:3], 3), 0, 255, seed=0)
    labels = tf.range(BATCH.value) // 4 % teacher.output["logits"].shape[-1]
    runs = [trainer(student, images, labels) for student in students]
    runs += [trainer(students[0], images, labels, with_fisher=True)]
    runs += [repeated(lambda: teacher(images, training=False))]
    seconds = [[step_seconds(run) for run in runs] for _ in range(ROUNDS.value)]
    *student, with_fisher, taught = [statistics.median(column) for column in zip(*seconds, strict=True)]
    macs = [count_macs(model, deployed=False) for model in students]
    steps = round(first_epoch["seconds"] * first_epoch["images_per_second"] / BATCH.value)
    print("phase  from epoch  M MACs (training form)  share  student ms  share  with teacher, s an epoch")
    for phase, epoch in enumerate(epochs):
        name, epoch = ("floor", "-") if epoch is None else (phase, epoch)
        print(
            f"{name:>5}  {epoch:>10}  {macs[phase] / 1e6:>22.2f}  {macs[phase] / macs[0]:5.2f}  "
            f"{1e3 * student[phase]:10.1f}  {student[phase] / student[0]:5.2f}  "
            f"{steps * (student[phase] + taught):24.1f}"
        )
    outer, share = student[-1] / student[0], macs[-2] / macs[0]
    print(
        f"The last phase's student takes {student[-2] / student[0]:.2f} of the heavy one's time; 1.25 x its MACs' "
        f"share {share:.2f} is {1.25 * share:.2f}, the uncuttable outer width alone takes {outer:.2f}."
    )
    print(f"Gathering the Fisher score lengthens the heavy student's step by {with_fisher / student[0] - 1:.1%}.")


def trainer(student, images, labels, with_fisher=False):
    """A function that trains a few steps; traced and warm."""
    distiller = Distiller(student, with_fisher=with_fisher)
    distiller.compile(MomentumSGD(1e-3))
    return repeated(lambda: distiller.train_step((images, labels)))


def repeated(step):
    step = tf.function(step)

    def run():
        for _ in range(STEPS.value):
            step()

    run()
    return run


def step_seconds(run):
    started = time.perf_counter()
    run()
    return (time.perf_counter() - started) / STEPS.value


if __name__ == "__main__":
    app.run(main)
