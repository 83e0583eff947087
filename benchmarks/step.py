"""What a training step consists of, for a thin and a full network, beside plain PyTorch.

    python -m benchmarks.step --torch_python=build/torch/bin/python --rounds=7

A part is timed as a graph of its own, or as the difference of two. "lasso + reset" is a step with compression loss and
gradient reset (the paper's), "Fisher + fade" one that scores channels and fades some out (the default). The PyTorch row
needs an interpreter with torch and torchvision, in an environment of its own: `python -m venv build/torch` and
`build/torch/bin/pip install torch torchvision`; torchvision has no thin ResNet-50. All rows take turns.
`--indicators none dense diagonal` adds what the indicators themselves cost.
"""

import argparse
import itertools
import pathlib
import subprocess

# Before TensorFlow, whose oneDNN kernels it switches on.
import keras_cdd  # noqa: F401  # isort: skip
import keras
import numpy as np
import tensorflow as tf

from benchmarks import turns
from keras_cdd.data import ImageStore, PKSampler
from keras_cdd.data.augment import Augmentation
from keras_cdd.data.datasets import synthetic
from keras_cdd.data.pipeline import training_batches
from keras_cdd.distill import ChannelFade, CompressionRule, Distiller, EmbeddingQueue, FisherScore, GradientReset
from keras_cdd.layers import FeatureRecorder
from keras_cdd.layers.indicator_kinds import INDICATOR_KINDS
from keras_cdd.models import gated_resnet
from keras_cdd.models.gated_units import gated_units
from keras_cdd.optimization import MomentumSGD

IMAGES_EACH, CLASSES = 4, 100
TORCH = "plain PyTorch: teacher, student, no indicators, no reset"


def main(options):
    for width in options.widths:
        torch = None if width != 64 else TorchStep.of(options)
        tasks = Step(width, options).tasks()
        if torch is not None:
            tasks[TORCH] = (torch, 1)
        seconds = {name: clock for name, (clock, _) in turns.in_turns(tasks, options.rounds).items()}
        print(f"\n{options.backbone}, width {width}, {options.size}x{options.size}, batch {options.batch}\n")
        print(table(seconds))
        if torch is not None:
            torch.close()
        if options.indicators:
            print("\nSteps of the student alone, by its indicators\n")
            found = turns.in_turns(steps_alone(width, options), options.rounds)
            print(turns.table(found, dict.fromkeys(found, next(iter(found))), unit=None))


class Step:
    """The parts of a step as functions."""

    def __init__(self, width, options):
        keras.utils.set_random_seed(0)
        size = (options.size, options.size)
        student, self.teacher = (
            gated_resnet(options.backbone, width, size, CLASSES, 512, indicators=kind) for kind in ("both", "none")
        )
        units = gated_units(student)
        widths = {site: unit.filters for site, unit in units.items()}
        self.reset = GradientReset(EmbeddingQueue(options.queue, widths), {s: range(w) for s, w in widths.items()})
        fade = ChannelFade({site: (width, width) for site, width in widths.items()})
        lasso = CompressionRule("lasso", 0.004)
        parts = {"lasso + reset": [self.reset, lasso], "Fisher + fade": [FisherScore(widths), fade]}
        self.distillers = {}
        for name, own in parts.items():
            self.distillers[name] = Distiller(student, self.teacher, parts=own)
            self.distillers[name].compile(MomentumSGD(1e-4))
        self.batches = iter(batches(options))
        self.images, self.labels = next(self.batches)
        self.gradients = [tf.zeros(variable.shape) for variable in student.trainable_variables]

    def tasks(self):
        plain = Distiller(self.distillers["lasso + reset"].student, self.teacher)
        plain.compile(MomentumSGD(1e-4))
        taught, record = graph(lambda: recorded(plain, self.teacher, self.images, False))()

        def forward(watch):
            with tf.GradientTape() as tape:
                ours, learnt = recorded(plain, plain.student, self.images, True)
                teacher = FeatureRecorder()
                teacher.convolution = record
                student = FeatureRecorder()
                student.convolution = learnt
                pairs = lambda: plain._pairs(teacher, student, {})  # noqa: E731
                values = plain._loss_values(self.labels, ours, taught, pairs)
                loss = sum(weight * value for weight, value in values.values())
            variables = plain.student.trainable_variables
            return [tf.reduce_sum(g) for g in tape.gradient(loss, variables)][0] if watch else loss

        vectors = {site: record[site] for site in self.reset.kept_channels}
        parts = {
            "input": lambda: next(self.batches)[0][0, 0, 0, 0],
            "teacher": graph(lambda: recorded(plain, self.teacher, self.images, False)[0]["embedding"]),
            "student forward": graph(lambda: recorded(plain, plain.student, self.images, True)[0]["embedding"]),
            "student forward, losses": graph(lambda: forward(False)),
            "student forward, losses, backward": graph(lambda: forward(True)),
            "reset": graph(lambda: self.reset.update(vectors, vectors)),
            "update": graph(lambda: plain.optimizer.apply(self.gradients, plain.student.trainable_variables)),
        }
        for name, distiller in self.distillers.items():
            data = (self.images, self.labels)
            parts[f"whole step, {name}"] = graph(lambda d=distiller, data=data: d.train_step(data)["loss"])
        return {name: (run, 1) for name, run in parts.items()}


def steps_alone(width, options):
    """Kind of indicator -> a step of a student without a teacher, in which nothing is scored or cut."""
    steps = {}
    for kind in options.indicators:
        keras.utils.set_random_seed(0)
        indicators = {"indicators": "none"} if kind == "none" else {"indicator": kind}
        student = gated_resnet(options.backbone, width, (options.size, options.size), CLASSES, 512, **indicators)
        distiller = Distiller(student)
        distiller.compile(MomentumSGD(1e-4))
        data = next(iter(batches(options)))
        steps[kind] = (graph(lambda d=distiller, data=data: d.train_step(data)["loss"]), 1)
    return steps


def graph(function):
    return tf.function(function, autograph=False)


def recorded(distiller, model, images, training):
    """`(outputs, site -> pooled convolution)`."""
    with FeatureRecorder() as record, distiller.freezing.applied():
        outputs = model(images, training=training)
    return dict(outputs), dict(record.convolution)


def batches(options):
    identities = options.batch // IMAGES_EACH
    toy = synthetic.load(train_identities=max(identities, 4), train_images=8, test_identities=2, test_images=3)
    store = ImageStore(toy.train, (options.size, options.size))
    sampler = PKSampler(toy.labels, identities, IMAGES_EACH)
    return training_batches(store, np.asarray(toy.labels), sampler, Augmentation(shift=4, flip=True, erasing=0.5))


def table(seconds):
    """The rows as Markdown; parts that were timed together are shown apart."""
    shown, before = dict(seconds), 0.0
    names = ["student forward", "student forward, losses", "student forward, losses, backward"]
    for name, part in zip(names, ("student forward", "losses", "backward"), strict=True):
        shown[part], before = seconds[name] - before, seconds[name]
    for name in names[1:]:
        del shown[name]
    order = ["input", "teacher", "student forward", "reset", "losses", "backward", "update"]
    whole = [name for name in shown if name not in order]
    beside = seconds.get(TORCH) or seconds["whole step, lasso + reset"]
    heads = "plain PyTorch" if TORCH in seconds else "whole step"
    lines = [f"| | seconds | of {heads} |", "|---|---|---|"]
    lines += [f"| {name} | {shown[name]:.4f} | {shown[name] / beside:.2f} |" for name in itertools.chain(order, whole)]
    return "\n".join(lines)


class TorchStep:
    """A call is a step of benchmarks/torch_step.py in another interpreter."""

    def __init__(self, python, *arguments):
        script = pathlib.Path(__file__).with_name("torch_step.py")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen([python, str(script), *arguments], **pipes)
        self.about = self._process.stdout.readline().strip()

    @classmethod
    def of(cls, options, *more):
        """None, with a line that says so, where there is no such interpreter."""
        if options.torch_python is None:
            print("Plain PyTorch is not compared: --torch_python names no interpreter with torch.")
            return None
        arguments = (f"--backbone={options.backbone}", f"--size={options.size}", f"--batch={options.batch}", *more)
        found = cls(options.torch_python, *arguments)
        if not found.about:
            found.close()
            raise SystemExit(f"error: {options.torch_python} cannot run benchmarks/torch_step.py; install torch there")
        print(found.about)
        return found

    def __call__(self):
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self):
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet50", help="Of gated blocks.")
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 64], help="Filters of the first stage.")
    parser.add_argument("--size", type=int, default=64, help="Height and width of the images.")
    parser.add_argument("--batch", type=int, default=24, help="Images of a step, a multiple of 4.")
    parser.add_argument("--queue", type=int, default=6_000, help="Images in the queue of the reset.")
    kinds = ["none", *INDICATOR_KINDS]
    parser.add_argument("--indicators", nargs="+", default=[], choices=kinds, help="Also steps with these indicators.")
    parser.add_argument("--torch_python", help="Interpreter with torch and torchvision.")
    parser.add_argument("--rounds", type=int, default=7, help="Turns of each row.")
    main(parser.parse_args())
