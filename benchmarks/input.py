"""How fast images come: reading, resizing, augmentation, and the pipeline as a whole.

    python -m benchmarks.input --images=400 --rounds=5

Writes JPEG files of 320x280 pixels to a temporary folder and reads them as 256x256. All rows take turns, so that other
load on the machine affects all of them. The table shows medians, and how much longer a row takes than the one it is
compared with.
"""

import argparse
import concurrent.futures
import os
import pathlib
import tempfile

import numpy as np
import tensorflow as tf
from PIL import Image

from benchmarks.turns import in_turns, table
from keras_cdd.data.augment import Augmentation
from keras_cdd.data.image import load_image, resize
from keras_cdd.data.image_store import ImageStore
from keras_cdd.data.pipeline import training_batches
from keras_cdd.data.pk_sampler import PKSampler
from keras_cdd.data.records import MEAN_COLOUR, ImageRecord

FILE_SIZE, SIZE = (280, 320), (256, 256)
IDENTITIES, IMAGES_EACH = 24, 4
BATCH = IDENTITIES * IMAGES_EACH
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
# The augmentation of the VeRi-776 flagfiles: --shift=10 --flip --erasing=0.5.
CHANGES = {"shift": 10, "flip": True, "erasing": 0.5, "background": MEAN_COLOUR}
# Row -> what it is compared with.
ONE_THREAD, ALL_THREADS = "Pillow: decode + BOX resize, one thread", "Pillow: the same in a thread for each core"
ROWS = {
    ONE_THREAD: None,
    ALL_THREADS: None,
    "load_image, one thread": ONE_THREAD,
    "ImageStore, first pass into memory": ALL_THREADS,
    "ImageStore, first pass to disk": ALL_THREADS,
    "Pillow: BOX resize alone": None,
    "resize": "Pillow: BOX resize alone",
    "uint8 to float32 alone": None,
    "augmentation by resampling": None,
    "augmentation": "augmentation by resampling",
    "pipeline from memory": "uint8 to float32 alone",
    "pipeline from disk": "uint8 to float32 alone",
}


def main(options):
    with tempfile.TemporaryDirectory() as folder:
        seconds = in_turns(make_tasks(pathlib.Path(folder), options.images), options.rounds)
    print(f"{CORES} cores, {FILE_SIZE[1]}x{FILE_SIZE[0]} -> {SIZE[1]}x{SIZE[0]}, batch {BATCH}\n")
    print(table(seconds, ROWS))


def make_tasks(folder, count):
    """Row -> (what to time, images that it works through)."""
    records = write_photos(folder, count)
    paths = [record.path for record in records]
    batch = np.stack([load_image(path, SIZE) for path in (paths * BATCH)[:BATCH]])
    upright, photo = Image.open(paths[0]).convert("RGB"), np.array(Image.open(paths[0]).convert("RGB"))
    cast = tf.function(lambda images: tf.cast(images, tf.float32))
    changed = tf.function(Augmentation(**CHANGES))
    # An angle of next to nothing, so that the general way is taken.
    resampled = tf.function(Augmentation(**CHANGES, rotation=1e-6))
    images, seed = tf.constant(batch), tf.constant([1, 2])
    memory = Pipeline(ImageStore(records, SIZE))
    disk = Pipeline(ImageStore(records, SIZE, cache_bytes=0, cache_dir=folder / "kept"))

    def first_pass_to_disk():
        with tempfile.TemporaryDirectory(dir=folder) as fresh:
            ImageStore(records, SIZE, cache_bytes=0, cache_dir=fresh)

    threads = concurrent.futures.ThreadPoolExecutor(CORES)
    tasks = (
        (lambda: [pillow_load(path) for path in paths], count),
        (lambda: list(threads.map(pillow_load, paths)), count),
        (lambda: [load_image(path, SIZE) for path in paths], count),
        (lambda: ImageStore(records, SIZE), count),
        (first_pass_to_disk, count),
        (lambda: [np.asarray(upright.resize(SIZE[::-1], Image.Resampling.BOX)) for _ in range(count)], count),
        (lambda: [resize(photo, SIZE) for _ in range(count)], count),
        (lambda: [cast(images) for _ in range(8)][-1].numpy(), 8 * BATCH),
        (lambda: resampled(images, seed).numpy(), BATCH),
        (lambda: [changed(images, seed) for _ in range(8)][-1].numpy(), 8 * BATCH),
        (memory.run, memory.images),
        (disk.run, disk.images),
    )
    return {name: task for name, task in zip(ROWS, tasks, strict=True)}


class Pipeline:
    """Batches of a store as a training run draws them."""

    def __init__(self, store, steps=12):
        labels = np.arange(len(store)) % IDENTITIES
        sampler = PKSampler(labels, IDENTITIES, IMAGES_EACH)
        self.batches = training_batches(store, labels, sampler, Augmentation(**CHANGES)).take(steps)
        self.images = steps * BATCH

    def run(self):
        for images, _ in self.batches:
            images[-1, -1, -1, -1].numpy()


def write_photos(folder, count):
    """Smooth patches with noise, as JPEG files about as large as those of photos."""
    rng = np.random.default_rng(0)
    records = []
    for number in range(count):
        patches = Image.fromarray(rng.integers(0, 256, (14, 16, 3), dtype=np.uint8))
        pixels = np.asarray(patches.resize(FILE_SIZE[::-1], Image.Resampling.BICUBIC)).astype(int)
        pixels = np.clip(pixels + rng.integers(-12, 13, pixels.shape), 0, 255).astype(np.uint8)
        path = folder / f"{number}.jpg"
        Image.fromarray(pixels).save(path, quality=90)
        records.append(ImageRecord(str(path), number % IDENTITIES))
    return records


def pillow_load(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize(SIZE[::-1], Image.Resampling.BOX))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=400, help="Photos to read.")
    parser.add_argument("--rounds", type=int, default=5, help="Turns of each row.")
    main(parser.parse_args())
