"""What a surgery costs in the quickstart: rebuilding the student and tracing its step, beside an epoch.

    python -m benchmarks.tracing --surgeries=3

A ResNet-18 of width 12 at 64x64 pixels that loses a tenth of its MACs in every surgery, with Fisher score and
fade.
"""

import argparse
import statistics
import time

# Before TensorFlow, whose oneDNN kernels it switches on.
import keras_cdd  # noqa: F401  # isort: skip
import keras
import tensorflow as tf

from keras_cdd.distill import ChannelFade, Distiller, FisherScore
from keras_cdd.models import gated_resnet
from keras_cdd.models.gated_units import gated_units
from keras_cdd.optimization import MomentumSGD
from keras_cdd.surgery import plan_surgery, rebuild

BATCH, CLASSES = 64, 64


def main(options):
    keras.utils.set_random_seed(0)
    size = (options.size, options.size)
    student, teacher = (gated_resnet("resnet18", 12, size, CLASSES, 64, indicators=kind) for kind in ("both", "none"))
    widths = {site: unit.filters for site, unit in gated_units(student).items()}
    parts = [FisherScore(widths), ChannelFade({site: (width, width) for site, width in widths.items()})]
    distiller = compiled(student, teacher, MomentumSGD(1e-4), parts)
    images = tf.random.uniform((BATCH, *size, 3), 0, 255)
    batches = tf.data.Dataset.from_tensors((images, tf.range(BATCH) // 4)).repeat()
    fit(distiller, batches, 1)
    found = []
    for number in range(options.surgeries):
        marks = [time.thread_time(), time.perf_counter()]
        plan = plan_surgery(distiller.student, target_macs=0.9 - 0.1 * number, round_to=8)
        slim, optimizer = rebuild(distiller.student, plan, optimizer=distiller.optimizer)
        distiller = compiled(slim, teacher, optimizer, [part.cut(plan) for part in distiller.parts.values()])
        rebuilt = time.perf_counter()
        fit(distiller, batches, 1)
        traced, processor = time.perf_counter(), time.thread_time() - marks[0]
        fit(distiller, batches, options.steps)
        found.append((rebuilt - marks[1], traced - rebuilt, processor, time.perf_counter() - traced))
    rebuilding, tracing, processor, epoch = (statistics.median(values) for values in zip(*found, strict=True))
    print("| a surgery in the quickstart | seconds | of an epoch |\n|---|---|---|")
    rows = {"rebuilding": rebuilding, "the first step, with its tracing": tracing, "both": rebuilding + tracing}
    for name, seconds in (rows | {"both, processor time of the main thread": processor}).items():
        print(f"| {name} | {seconds:.2f} | {seconds / epoch:.2f} |")
    print(f"| an epoch of {options.steps} steps | {epoch:.2f} | 1.00 |")


def compiled(student, teacher, optimizer, parts):
    distiller = Distiller(student, teacher, parts=parts)
    distiller.compile(optimizer)
    return distiller


def fit(distiller, batches, steps):
    distiller.fit(batches, steps_per_epoch=steps, verbose=0, shuffle=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64, help="Height and width of the images.")
    parser.add_argument("--surgeries", type=int, default=3, help="Number of surgeries; medians are shown.")
    parser.add_argument("--steps", type=int, default=12, help="Steps of an epoch.")
    main(parser.parse_args())
