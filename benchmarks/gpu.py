"""How fast a GPU trains: images a second of teacher and student in each precision, with and without compilation.

    python -m benchmarks.gpu --torch_python=build/torch/bin/python

Trains on synthetic images that come through the whole pipeline, as a run does; "waiting" is the share of the time that
the step waits for its batch. "teacher" trains a network alone; "student" is a step of Capacity Dynamic Distillation
with lasso and gradient reset. Peak memory is TensorFlow's on the device. The last column is the same student's step in
plain PyTorch (see benchmarks/step.py), "-" without `--torch_python`. It runs on a CPU as well, where nobody would wait
for it; `--backbones resnet18 --width=8 --size=32 --batch=8 --steps=2 --precisions none --compiled 0` shows that it
works.
"""

import argparse
import time

# Before TensorFlow, whose oneDNN kernels it switches on.
import keras_cdd  # noqa: F401  # isort: skip
import keras
import tensorflow as tf

from benchmarks.step import CLASSES, TorchStep, batches
from keras_cdd.distill import CompressionRule, Distiller, EmbeddingQueue, GradientReset
from keras_cdd.models import gated_resnet
from keras_cdd.models.gated_units import gated_units
from keras_cdd.optimization import MomentumSGD
from keras_cdd.optimization.precision import PRECISIONS, with_loss_scaling

HEADS = ("network", "training", "precision", "compiled", "images/s", "waiting", "peak GiB", "plain PyTorch images/s")
WARM_UP = 3


def main(options):
    devices = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(device).get("device_name", device.name) for device in devices]
    print(", ".join(names) or "no GPU: the figures of this processor say nothing about one")
    print(f"{options.size}x{options.size}, batch {options.batch}, {options.steps} steps\n")
    lines = [f"| {' | '.join(HEADS)} |", "|" + "---|" * len(HEADS)]
    for backbone in options.backbones:
        for precision in options.precisions:
            for compiled in options.compiled:
                for training in ("teacher", "student"):
                    cells = [f"{value}" for value in measured(backbone, training, precision, compiled, options)]
                    beside = beside_torch(backbone, precision, compiled, options) if training == "student" else ""
                    row = [backbone, training, precision, "yes" if compiled else "no", *cells, beside]
                    lines.append(f"| {' | '.join(row)} |")
                    print(lines[-1], flush=True)
    print("\n" + "\n".join(lines))


def measured(backbone, training, precision, compiled, options):
    """`(images a second, share of waiting, peak GiB)` as text."""
    keras.backend.clear_session()
    keras.mixed_precision.set_global_policy(PRECISIONS[precision])
    distiller = made(backbone, training, options)
    distiller.compile(with_loss_scaling(MomentumSGD(1e-4), precision), jit_compile=compiled)
    step = tf.function(distiller.train_step, autograph=False, jit_compile=compiled)
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    found = iter(batches(options))
    waited = 0.0
    for number in range(WARM_UP + options.steps):
        if number == WARM_UP:
            started, waited = time.perf_counter(), 0.0
            if on_gpu:
                tf.config.experimental.reset_memory_stats("GPU:0")
        asked = time.perf_counter()
        batch = next(found)
        waited += time.perf_counter() - asked
        float(step(batch)["loss"])
    seconds = time.perf_counter() - started
    peak = tf.config.experimental.get_memory_info("GPU:0")["peak"] / (1 << 30) if on_gpu else None
    rate = options.steps * options.batch / seconds
    return f"{rate:.1f}", f"{waited / seconds:.0%}", "-" if peak is None else f"{peak:.1f}"


def made(backbone, training, options):
    def network(kind):
        return gated_resnet(backbone, options.width, (options.size, options.size), CLASSES, 512, indicators=kind)

    if training == "teacher":
        return Distiller(network("none"))
    student = network("conv2")
    widths = {site: unit.filters for site, unit in gated_units(student).items()}
    queue = EmbeddingQueue(options.queue, widths)
    reset = GradientReset(queue, {site: range(width) for site, width in widths.items()})
    return Distiller(student, network("none"), parts=[reset, CompressionRule("lasso", 0.004)])


def beside_torch(backbone, precision, compiled, options):
    if options.torch_python is None:
        return "-"
    arguments = [f"--backbone={backbone}", f"--size={options.size}", f"--batch={options.batch}"]
    step = TorchStep(options.torch_python, *arguments, f"--precision={precision}", *["--compile"] * compiled)
    if not step.about:
        step.close()
        return "-"
    seconds = [step() for _ in range(options.steps)]
    step.close()
    return f"{options.batch * len(seconds) / sum(seconds):.1f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=["resnet50", "resnet101"], help="Of gated blocks.")
    precisions = {"nargs": "+", "default": list(PRECISIONS), "choices": list(PRECISIONS)}
    parser.add_argument("--precisions", **precisions, help="Of --mixed_precision.")
    parser.add_argument("--compiled", nargs="+", type=int, default=[0, 1], choices=(0, 1), help="Without XLA, with it.")
    parser.add_argument("--width", type=int, default=64, help="Filters of the first stage; PyTorch has 64 alone.")
    parser.add_argument("--size", type=int, default=256, help="Height and width of the images.")
    parser.add_argument("--batch", type=int, default=64, help="Images of a step, a multiple of 4.")
    parser.add_argument("--queue", type=int, default=24_000, help="Images in the queue of the reset.")
    parser.add_argument("--steps", type=int, default=30, help="Timed steps of each row.")
    parser.add_argument("--torch_python", help="Interpreter with torch and torchvision.")
    main(parser.parse_args())
