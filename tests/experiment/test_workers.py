"""A run in several processes over loopback is the run of one process, also where a process is killed."""

import concurrent.futures
import json
import signal

import numpy as np
import pytest

from benchmarks.workers import free_ports
from keras_cdd.data import write_synthetic
from tests.experiment.same_run import assert_same_run, logged

SCRIPT = """
import os, signal, sys
import numpy as np
import keras
import tensorflow as tf
from keras_cdd.experiment import experiment, phase_loop, run_experiment, training_state, watch
from keras_cdd.layers import GatedBasicBlock
from keras_cdd.models import BACKBONES
from keras_cdd.report import LiveReport
from keras_cdd.settings.config import *
from keras_cdd.commands.errors import end_at_once, explained_errors

BACKBONES["one_block"] = (GatedBasicBlock, (0, 1))
# Pictures take as long as so short a run.
LiveReport.draw = lambda self: None
watch.keep_examples = lambda *run: None
photos, teacher, workdir, dump, death, os.environ["TF_CONFIG"] = sys.argv[1:]
save, rename = training_state.TrainingState.save, os.rename


def saving(self, distiller, facts):
    arrays = {f"weights/{w.path}": w.numpy() for w in distiller.student.weights}
    arrays |= {n: tf.convert_to_tensor(v).numpy() for n, v in training_state._variables(distiller).items()}
    np.savez(f"{dump}_{facts['epoch']}.npz", **arrays)
    if death == "after" and facts["epoch"] == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    if death == "between" and facts["epoch"] == 4:
        os.rename = dying
    save(self, distiller, facts)


def dying(source, target):
    rename(source, target)
    os.kill(os.getpid(), signal.SIGKILL)


training_state.TrainingState.save = saving
config = Config(
    # 15 images a step: 7 for the first of two workers, 8 for the other.
    DataConfig("folder", photos, image_size=(16, 16), identities_per_batch=5, images_per_identity=3, shift=1,
               erasing=0.5, cache_dir=None),
    NetworkConfig("one_block", width=8, stem="small", embedding_size=8),
    TrainingConfig(epochs=7, warmup_epochs=1, learning_rate=0.0005, gradient_clip=5.0,
                   strategy="multi_worker" if os.environ["TF_CONFIG"] else "none"),
    compression=CompressionConfig(gradient_reset_epoch=0.0, queue_size=32, compression="lasso"),
    surgery=SurgeryConfig(target_macs=0.6, num_cuts=2, cut_start=1.0, cut_end=3.0, pad_channels=1),
    run=RunConfig(workdir, teacher=teacher),
)
with explained_errors(False, leave=end_at_once):
    run_experiment(config, "--seed=0")
"""
TEACHER = """
import sys
import keras
from keras_cdd.layers import GatedBasicBlock
from keras_cdd.models import BACKBONES, gated_resnet
keras.utils.set_random_seed(0)
BACKBONES["one_block"] = (GatedBasicBlock, (0, 1))
gated_resnet("one_block", width=8, stem="small", embedding_size=8, image_size=(16, 16), num_classes=8,
             indicators="none").save(sys.argv[1])
"""

ALONE = """
import os, signal, sys
os.environ["TF_CONFIG"] = sys.argv[1]
from keras_cdd.distill import STRATEGIES
from keras_cdd.distill.team import Team
signal.signal(signal.SIGTERM, lambda *_: print("asked to stop"))
team = Team(STRATEGIES["multi_worker"]())
print(team.is_chief, team.share.parts, team.of_chief({"a": [1.5, "ä"]}))
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory, run_python):
    """A folder with photos and a teacher."""
    folder = tmp_path_factory.mktemp("workers")
    write_synthetic(folder / "photos", train_identities=8, train_images=6, test_identities=4, test_images=4)
    made = run_python("-c", TEACHER, str(folder / "teacher.keras"))
    assert not made.returncode, made.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def train(files, run_python):
    """`train(name, deaths)` runs a process for each of `deaths` at once, and returns how each ended.

    A process dies after epoch 4: "after" its end, "between" the renames of its checkpoint, or, by "", not at all.
    """

    def run(name, deaths=("",)):
        shared = [str(files / path) for path in ("photos", "teacher.keras", name)]
        own = [(str(files / f"{name}.{i}"), death, config) for i, death, config in zip(*configs(deaths), strict=True)]
        with concurrent.futures.ThreadPoolExecutor() as pool:
            return list(pool.map(lambda arguments: run_python("-c", SCRIPT, *shared, *arguments), own))

    return run


def configs(deaths):
    """Numbers of the workers, how they die, and what `TF_CONFIG` each has."""
    numbers = range(len(deaths))
    if len(deaths) == 1:
        return numbers, deaths, [""]
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(len(deaths))]}
    return numbers, deaths, [json.dumps({"cluster": cluster, "task": {"type": "worker", "index": i}}) for i in numbers]


@pytest.fixture(scope="module")
def whole_run(train):
    """A run of two workers from start to end."""
    for done in train("two", ("", "")):
        assert not done.returncode, done.stderr[-3000:]


def test_a_worker_hears_the_signals_that_stop_it(run_python):
    """TensorFlow's cluster takes SIGTERM for itself."""
    task = {"cluster": {"worker": [f"127.0.0.1:{free_ports(1)[0]}"]}, "task": {"type": "worker", "index": 0}}
    done = run_python("-c", ALONE, json.dumps(task))
    assert done.stdout.splitlines() == ["True 1 {'a': [1.5, 'ä']}", "asked to stop"], done.stderr[-3000:]


@pytest.mark.slow
def test_two_processes_equal_one(whole_run, train, files):
    (done,) = train("one")
    assert not done.returncode, done.stderr[-3000:]
    assert_same_run(files / "two", files / "one")
    assert len(logged(files / "one", "surgery.jsonl")) == 1
    for epoch in range(1, 8):
        one, first, second = (dict(np.load(files / f"{who}_{epoch}.npz")) for who in ("one.0", "two.0", "two.1"))
        assert one.keys() == first.keys() == second.keys()
        for name, array in one.items():
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)
            # A momentum, or a score, jumps with a single ReLU that turns at zero.
            if not name.startswith(("optimizer/", "fisher/")):
                np.testing.assert_allclose(first[name], array, rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.reliability
@pytest.mark.parametrize("deaths", [("", "after"), ("between", "")], ids=["a worker", "the chief between two renames"])
def test_a_killed_process(deaths, whole_run, train, files):
    name = f"killed {deaths.index('') + 1}"
    ended = train(name, deaths)
    dead = deaths.index(max(deaths))
    assert ended[dead].returncode == -signal.SIGKILL
    assert ended[1 - dead].returncode == 1
    (line,) = [line for line in ended[1 - dead].stderr.splitlines() if line.startswith("error: ")]
    assert f"Worker {dead} (127.0.0.1:" in line
    for done in train(name, ("", "")):
        assert not done.returncode, done.stderr[-3000:]
    assert_same_run(files / name, files / "two")
