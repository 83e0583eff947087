"""Makes runs.zip: a tiny run that was stopped after an epoch, the same run finished, and its exports.

Later versions must read it, or refuse it by name; see tests/run_folder/test_versions.py. It stays as version 0.1.0
wrote it; another version gets a folder of its own. The command was `python -m tests.data.run_0_1_0.make`.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

import keras
import tensorflow as tf
from PIL import Image

from keras_cdd.data import write_csv, write_synthetic
from keras_cdd.experiment import phase_loop, run_experiment
from keras_cdd.layers import GatedBasicBlock, embedding_head
from keras_cdd.settings.flags import config_from_flagfile, flagfile_text

HERE = pathlib.Path(__file__).resolve().parent
FLAGS = """
--dataset=csv
--csv=photos.csv
--teacher=teacher.keras
--image_size=16,16
--identities_per_batch=4
--images_per_identity=4
--epochs=3
--warmup_epochs=0
--target_macs=0.5
--num_cuts=2
--cut_start=0
--cut_end=1
--surgery_every=1
--pad_channels=1
--queue_size=16
--reset_neighbours=2
--cache_dir=
"""
# Large; whoever reads the run can draw them again.
LEFT_OUT = ("report.html", "examples.json", "events.out", ".lock", ".log")


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write_photos()
        teacher().save("teacher.keras")
        pathlib.Path("run.flags").write_text(FLAGS)
        train("stopped", stop_after=1)
        shutil.copytree("stopped", "finished")
        train("finished")
        gallery = ("--model=finished/model_int8.tflite", "--images=photos/gallery", "--output=gallery.sqlite")
        command("export.to_tflite", "--workdir=finished", "--precision=int8", "--max_map_drop=100")
        command("export.build_gallery", *gallery)
        with zipfile.ZipFile(HERE / "runs.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for path in sorted(pathlib.Path().rglob("*")):
                if path.is_file() and not any(word in path.name for word in LEFT_OUT):
                    archive.write(path)


def write_photos():
    """A dozen and a half of 16x16 pixels."""
    sizes = {"train_identities": 4, "train_images": 4, "test_identities": 2, "test_images": 4}
    dataset = write_synthetic("photos", **sizes)
    for record in (*dataset.train, *dataset.query, *dataset.gallery):
        Image.open(record.path).resize((16, 16)).save(record.path)
    write_csv(dataset, "photos.csv")


def teacher():
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, name="stem")(keras.layers.Rescaling(1 / 255, name="pixels")(image))
    return keras.Model(image, embedding_head(GatedBasicBlock(8, name="block")(x), 8, num_classes=4))


def train(workdir, stop_after=None):
    """Trains in the workdir; with `stop_after`, until the checkpoint of so many epochs is saved."""
    whole = phase_loop.PhaseLoop.epoch_end

    def epoch_end(loop, distiller, epoch):
        whole(loop, distiller, epoch)
        if epoch == stop_after:
            raise KeyboardInterrupt

    phase_loop.PhaseLoop.epoch_end = epoch_end
    pathlib.Path("run.flags").write_text(f"{FLAGS}--workdir={workdir}\n")
    config = config_from_flagfile("run.flags")
    try:
        run_experiment(config, flagfile_text(config))
    except KeyboardInterrupt:
        pass
    finally:
        phase_loop.PhaseLoop.epoch_end = whole


def command(module, *flags):
    root = HERE.parents[2]
    subprocess.run([sys.executable, "-m", module, *flags], check=True, env={**os.environ, "PYTHONPATH": str(root)})


if __name__ == "__main__":
    tf.config.run_functions_eagerly(True)
    main()
