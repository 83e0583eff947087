"""A whole run on two devices: it cuts, rebuilds, and writes the same files as a run on one device."""

import json

import pytest

from keras_cdd.data import write_synthetic
from tests.tiny_backbone import MOST_SAVED

SCRIPT = """
import sys
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from keras_cdd.experiment import run_experiment
from keras_cdd.models import gated_resnet
from keras_cdd.settings.config import *
from tests.tiny_backbone import add_tiny

add_tiny()

photos, workdir = sys.argv[1:]
network = {"width": 8, "stem": "small", "embedding_size": 8}
teacher = gated_resnet("tiny", **network, image_size=(16, 16), num_classes=8, indicators="none")
teacher.save(workdir + ".keras")
config = Config(
    DataConfig("folder", photos, image_size=(16, 16), identities_per_batch=4, images_per_identity=2, shift=1),
    NetworkConfig("tiny", **network),
    TrainingConfig(epochs=2, warmup_epochs=1, strategy="mirrored"),
    surgery=SurgeryConfig(target_macs=0.6, num_cuts=2, cut_start=0.5, cut_end=1.0, pad_channels=1),
    run=RunConfig(workdir, teacher=workdir + ".keras"),
)
run_experiment(config, "")
"""


@pytest.mark.slow
def test_a_mirrored_run(tmp_path, run_python):
    write_synthetic(tmp_path / "photos", train_identities=8, train_images=6, test_identities=4, test_images=4)
    done = run_python("-c", SCRIPT, str(tmp_path / "photos"), str(tmp_path / "run"))
    assert not done.returncode, done.stderr[-3000:]
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    surgeries = (tmp_path / "run" / "surgery.jsonl").read_text().splitlines()
    assert 40 <= summary["macs_saved"] < MOST_SAVED
    assert surgeries and all(json.loads(line)["output_change"] < 1e-5 for line in surgeries)
