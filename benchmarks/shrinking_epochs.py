"""Do epochs get faster as the student shrinks? Times the phases of a finished run side by side.

    python -m benchmarks.shrinking_epochs --workdir=runs/omniglot

Rebuilds the student of every phase from the run's `surgery.jsonl` and times training steps on random images. The
phases take turns in every round, so that other load on the machine affects all of them. "student" is the student's
part of a step (forward, backward, update); the seconds of an epoch include the teacher's forward pass. "unpadded" has
the channels of the finished student, without the zeros that `--pad_channels` adds during a run, because kernels are
slow at odd counts. "floor" has one channel in every site; without `--residual`, its cost is that of the outer width:
stem, shortcuts, the blocks' inputs and outputs with their BatchNorm and ReLU, and the head.
"""

import dataclasses
import statistics
import time

from absl import flags

from keras_cdd.commands.absl_command import run_command
from keras_cdd.errors import UserError
from keras_cdd.run_folder.reading import RunFiles
from keras_cdd.settings.option import option


@dataclasses.dataclass(frozen=True)
class ShrinkingFlags:
    """Flags of this command."""

    workdir: str | None = option(None, "Folder of a finished run with --indicators=both.")
    batch_size: int = option(64, "Images per step.")
    steps: int = option(5, "Timed steps of every phase in a round.")
    rounds: int = option(16, "Rounds; medians are shown.")


def main(_):
    import keras

    from keras_cdd.experiment.networks import copy_weights
    from keras_cdd.experiment.static_cut import StaticCut
    from keras_cdd.models import with_indicators
    from keras_cdd.models.gated_units import gated_blocks
    from keras_cdd.models.sites import cut_sites

    values = flags.FLAGS
    if values.workdir is None:
        raise UserError("--workdir is missing; give the folder of a finished run.")
    run = RunFiles(values.workdir)
    if not run.surgeries:
        raise UserError(f"--workdir {values.workdir} holds no surgery; give a run with a budget.")
    teacher = keras.saving.load_model(run.model_file("teacher.keras"), compile=False)
    student = keras.saving.load_model(run.model_file("student.keras"), compile=False)
    heavy = with_indicators(teacher, "both", gated_blocks(student)[0].indicator)
    copy_weights(teacher, heavy)
    residual = run.config.surgery.residual
    full = {name: site.channels for name, site in cut_sites(heavy, residual).items()}
    phases = [("0", 0, full)]
    phases += [
        (str(surgery["phase"]), surgery["epoch"], surgery["kept_filters_after"])
        for surgery in run.surgeries
        if surgery["epoch"] < run.epochs[-1]["epoch"]
    ]
    phases += [("unpadded", "-", run.surgeries[-1]["kept_filters_after"]), ("floor", "-", dict.fromkeys(full, 1))]
    counts = [",".join(str(kept[name]) for name in full) for _, _, kept in phases]
    students = [StaticCut(heavy, count, residual).applied(heavy) for count in counts]
    report(values, phases, students, teacher, run.epochs[0], residual)


def report(values, phases, students, teacher, first_epoch, residual):
    """Times all students, taking turns, and prints the table."""
    import tensorflow as tf

    from keras_cdd.models import count_macs
    from keras_cdd.models.sites import cut_sites

    images = tf.random.uniform((values.batch_size, *teacher.input.shape[1:3], 3), 0, 255, seed=0)
    labels = tf.range(values.batch_size) // 4 % teacher.output["logits"].shape[-1]
    runs = [trainer(student, images, labels, values.steps) for student in students]
    runs += [trainer(students[0], images, labels, values.steps, cut_sites(students[0], residual))]
    runs += [repeated(lambda: teacher(images, training=False), values.steps)]
    heavy, shares = in_turns(runs, values.rounds)
    *shares, with_fisher, taught = shares
    macs = [count_macs(model, deployed=False) for model in students]
    steps = round(first_epoch["seconds"] * first_epoch["images_per_second"] / values.batch_size)
    print("    phase  from epoch  M MACs (training form)  share  student ms  share  with teacher, s an epoch")
    for (name, epoch, _), cost, share in zip(phases, macs, shares, strict=True):
        print(
            f"{name:>9}  {epoch:>10}  {cost / 1e6:>22.2f}  {cost / macs[0]:5.2f}  {1e3 * share * heavy:10.1f}  "
            f"{share:5.2f}  {steps * heavy * (share + taught):24.1f}"
        )
    print(
        f"The last phase's student takes {shares[-3]:.2f} of the heavy one's time; 1.25 x its MACs' share is "
        f"{1.25 * macs[-3] / macs[0]:.2f}, the floor takes {shares[-1]:.2f}."
    )
    print(f"Gathering the Fisher score lengthens the heavy student's step by {with_fisher - 1:.1%}.")


def in_turns(runs, rounds):
    """Seconds of the first run, and the ratio of every run to it: medians over rounds in alternating order."""
    seconds, shares = [], []
    for number in range(rounds):
        order = range(len(runs))[:: -1 if number % 2 else 1]
        taken = {place: runs[place]() for place in order}
        seconds.append(taken[0])
        shares.append([taken[place] / taken[0] for place in range(len(runs))])
    return statistics.median(seconds), [statistics.median(column) for column in zip(*shares, strict=True)]


def trainer(student, images, labels, steps, scored=None):
    """A function that runs some training steps and returns the seconds per step; `scored` sites get a Fisher score."""
    from keras_cdd.distill import Distiller, FisherScore
    from keras_cdd.optimization import MomentumSGD

    parts = [] if scored is None else [FisherScore({name: site.channels for name, site in scored.items()})]
    distiller = Distiller(student, parts=parts, sites=scored)
    distiller.compile(MomentumSGD(1e-3))
    return repeated(lambda: distiller.train_step((images, labels)), steps)


def repeated(step, steps):
    """A function that repeats a traced and warmed-up step and returns the seconds per step."""
    import tensorflow as tf

    step = tf.function(step)

    def run():
        started = time.perf_counter()
        for _ in range(steps):
            step()
        return (time.perf_counter() - started) / steps

    run()
    return run


def run():
    run_command(main, {"benchmark": ShrinkingFlags})


if __name__ == "__main__":
    run()
