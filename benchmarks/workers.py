"""Training in one process and in several on this machine, a core each: throughput, and the share of communication.

    python -m benchmarks.workers --workers 1 2 --steps=10

All rows train on the same batches. The share of communication, waiting for the slower process included, is what a step
takes longer than in one process with as many images as each worker has.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time

# One thread that computes in each process; read by TensorFlow when it is loaded.
THREADS = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")


def main(options):
    if options.task is not None:
        print(json.dumps(seconds_per_step(options)))
        return
    print("| processes | images a step | of each | images a second | seconds a step | communication |")
    print("|---|---|---|---|---|---|")
    for workers in options.workers:
        seconds, part = measured(options, workers, options.batch), options.batch // workers
        share = "" if workers == 1 else f"{100 * max(0.0, 1 - measured(options, 1, part) / seconds):.0f} %"
        cells = [workers, options.batch, part, f"{options.batch / seconds:.1f}", f"{seconds:.3f}", share]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


def measured(options, workers, batch):
    """Seconds of a step of `batch` images with this number of processes; the slowest counts."""
    sizes = ("backbone", "width", "size", "steps", "rounds")
    arguments = [f"--{name}={getattr(options, name)}" for name in sizes] + [f"--batch={batch}"]
    addresses, running = [f"127.0.0.1:{port}" for port in free_ports(workers)], []
    for task in range(workers):
        environment = os.environ | dict.fromkeys(THREADS, "1")
        if workers > 1:
            cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": task}}
            environment["TF_CONFIG"] = json.dumps(cluster)
        command = [options.python, "-m", "benchmarks.workers", f"--task={task}", *arguments]
        running.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    outputs = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        sys.exit("error: a process has failed; its message is above.")
    return max(json.loads(output.splitlines()[-1]) for output in outputs)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def seconds_per_step(options):
    """Trains as one of the processes; the median of all rounds."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, [cores[options.task % len(cores)]])
    from keras_cdd.distill import STRATEGIES

    strategy = STRATEGIES["multi_worker" if "TF_CONFIG" in os.environ else "none"]()
    import keras

    from keras_cdd.data import ImageStore, PKSampler
    from keras_cdd.data.augment import Augmentation
    from keras_cdd.data.datasets import synthetic
    from keras_cdd.data.pipeline import TrainingBatches
    from keras_cdd.distill import Distiller
    from keras_cdd.distill.strategies import for_replicas
    from keras_cdd.distill.team import Team
    from keras_cdd.models import gated_resnet
    from keras_cdd.optimization import MomentumSGD

    size, each = (options.size, options.size), 2
    data = synthetic.load(train_identities=max(8, options.batch // each), train_images=4)
    sampler = PKSampler(data.labels, options.batch // each, each)
    with strategy.scope():
        keras.utils.set_random_seed(0)
        shape = (options.backbone, options.width, size, data.num_identities, 512)
        student, teacher = (gated_resnet(*shape, indicators=kind) for kind in ("both", "none"))
        distiller = Distiller(student, teacher)
        distiller.compile(MomentumSGD(0.01))
        store = ImageStore(data.train, size)
        share = Team(strategy).share
        batches = TrainingBatches(store, data.labels, sampler, Augmentation(shift=2), share=share).from_epoch()
        taken = []
        for _ in range(options.rounds + 1):
            started = time.perf_counter()
            distiller.fit(for_replicas(batches), steps_per_epoch=options.steps, verbose=0, shuffle=False)
            taken.append((time.perf_counter() - started) / options.steps)
    # The first round traces.
    return statistics.median(taken[1:])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="Numbers of processes.")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--width", type=int, default=16, help="Channels of the first stage.")
    parser.add_argument("--size", type=int, default=64, help="Height and width of the images.")
    parser.add_argument("--batch", type=int, default=32, help="Images of a step, of all processes together.")
    parser.add_argument("--steps", type=int, default=10, help="Steps of a round.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", default=sys.executable, help="Interpreter of the processes.")
    parser.add_argument("--task", type=int, help=argparse.SUPPRESS)
    main(parser.parse_args())
