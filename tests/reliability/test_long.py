"""Nothing grows without bound: memory, open files, threads and disk over many checkpoints, surgeries and searches."""

import contextlib
import gc
import os
import pathlib
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_cdd
from export.gallery.format import GalleryFormat
from export.gallery.gallery import Gallery
from export.gallery.image import GalleryImage
from export.gallery.search import top_k
from export.gallery.vector_codec import encode
from keras_cdd.distill import Distiller
from keras_cdd.experiment.plain_loop import NO_LOSSES
from keras_cdd.run_folder.checkpoint import load_checkpoint, save_checkpoint
from keras_cdd.run_folder.workdir import Workdir

SURGERIES, CHECKPOINTS, SEARCHES, FITS = 200, 2000, 100_000, 24


class Growth:
    """Measures a process now and then, and the growth between the second and the last quarter of all measures.

    Args:
        folder: whose size on disk counts.
        repeats: how often the thing is done, between the first measure and the last.
    """

    WHAT = {"memory": "MiB", "open files": "", "threads": "", "disk": "KiB"}

    def __init__(self, folder, repeats):
        self.folder, self.repeats = pathlib.Path(folder), repeats
        self.rows = []

    def slope(self):
        """MiB of memory a repeat: half of them lie between the middles of the two quarters."""
        quarter = len(self.rows) // 4
        memory = [row[0] for row in self.rows]
        return (np.median(memory[-quarter:]) - np.median(memory[quarter : 2 * quarter])) / (self.repeats / 2)

    def measure(self):
        gc.collect()
        status = pathlib.Path("/proc/self/status").read_text().splitlines()
        values = {
            name: int(rest.split()[0])
            for name, _, rest in (line.partition(":") for line in status)
            if name in ("VmRSS", "Threads")
        }
        disk = sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
        self.rows.append([values["VmRSS"] / 1024, len(os.listdir("/proc/self/fd")), values["Threads"], disk / 1024])

    def check(self, memory, disk=500):
        """Checks that the medians differ by at most so many MiB and KiB, and open files and threads by none.

        Returns:
            What to say of it.
        """
        quarter = len(self.rows) // 4
        first, last = (np.median(rows, axis=0) for rows in (self.rows[quarter : 2 * quarter], self.rows[-quarter:]))
        for name, before, after, most in zip(self.WHAT, first, last, (memory, 0, 0, disk), strict=True):
            assert after - before <= most, f"{name} grew from {before} to {after}: {self.rows}"
        figures = zip(self.WHAT.items(), first, last, strict=True)
        said = [f"{name} {before:.0f} to {after:.0f} {unit}".rstrip() for (name, unit), before, after in figures]
        return ", ".join([f"{1000 * self.slope():.0f} MiB more a 1,000", *said])


@pytest.fixture(autouse=True)
def linux_only():
    if not pathlib.Path("/proc/self/status").exists():
        pytest.skip("there is no /proc to read the size of a process from")


def test_checkpoints(tmp_path, monkeypatch, tally):
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()])
    growth, score = Growth(tmp_path / "run", CHECKPOINTS), tf.Variable(tf.zeros([1000]))
    with contextlib.closing(Workdir(tmp_path / "run", "--seed=0\n")) as workdir:
        for epoch in range(CHECKPOINTS):
            workdir.append("metrics.jsonl", {"stage": "student", "epoch": epoch})
            save_checkpoint(workdir / "checkpoints" / "student", model, {"score": score}, {"epoch": epoch})
            if epoch % (CHECKPOINTS // 40) == 0:
                growth.measure()
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "student")[2] == {"epoch": CHECKPOINTS - 1}
    # A process that lives keeps some memory in pieces; a leak of one file of a checkpoint would be 20 MiB or more.
    tally("long: checkpoints", CHECKPOINTS, growth.check(memory=10))


def test_surgeries(tmp_path, tally):
    """A channel leaves, the rest is traced and trained anew, as between the phases of a run."""
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(SURGERIES + 8, 3, use_bias=False)(image)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    model = keras.Model(image, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
    optimizer, growth = keras.optimizers.SGD(1e-3, momentum=0.9), Growth(tmp_path, SURGERIES)
    optimizer.build(model.trainable_variables)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    own = {"task": (1.0, lambda labels, outputs, _: loss(labels, outputs))}
    models = []
    batches = tf.data.Dataset.from_tensors((np.ones((4, 8, 8, 3), "float32"), np.arange(4) % 3)).repeat()
    for number in range(SURGERIES):
        distiller = Distiller(model, weights=NO_LOSSES, own_losses=own)
        distiller.compile(optimizer)
        distiller.fit(batches, steps_per_epoch=2, shuffle=False, verbose=0)
        (site,) = keras_cdd.sites(model)
        importance = np.arange(model.layers[1].filters) > 0
        plan = keras_cdd.plan_surgery(model, importance_threshold=0.5, importance={site: importance.astype(float)})
        models += [weakref.ref(distiller), weakref.ref(model), weakref.ref(optimizer)]
        model, optimizer = keras_cdd.rebuild(model, plan, optimizer=optimizer)
        if number % (SURGERIES // 40) == 0:
            growth.measure()
    assert model.layers[1].filters == 8
    del distiller
    gc.collect()
    assert not [kept for kept in models if kept() is not None]
    # TensorFlow keeps the graph of every custom gradient that it has traced; here a step has more to trace.
    plain = memory_of_a_fit(batches, tmp_path)
    said = growth.check(memory=1.5 * plain * SURGERIES / 2)
    said += f"; Keras' own compile and fit: {1000 * plain:.0f} MiB more a 1,000"
    tally("long: surgeries, each with a new graph", SURGERIES, said)


def memory_of_a_fit(batches, folder):
    """MiB that stay of a network that Keras compiles, trains and forgets."""
    growth = Growth(folder, FITS)
    for _ in range(FITS):
        image = keras.Input((8, 8, 3))
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(keras.layers.Conv2D(100, 3)(image)))
        model = keras.Model(image, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
        optimizer = keras.optimizers.SGD(1e-3, momentum=0.9)
        optimizer.build(model.trainable_variables)
        model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(batches, steps_per_epoch=2, shuffle=False, verbose=0)
        growth.measure()
    return growth.slope()


def test_searches(tmp_path, tally):
    random = np.random.default_rng(0)
    embeddings = random.normal(size=(500, 16))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    about = GalleryFormat("0" * 64, "m.tflite", (16, 16), 16, "int8")
    growth = Growth(tmp_path, SEARCHES)
    with Gallery(tmp_path / "g.sqlite", create=lambda: about) as gallery:
        rows = [GalleryImage(f"{number}.png", "a", None, b"\xff\xd8") for number in range(len(embeddings))]
        gallery.add(rows, *encode(embeddings, "int8"))
    found = 0
    for number in range(SEARCHES // 100):
        with Gallery(tmp_path / "g.sqlite") as gallery:
            vectors = gallery.vectors()
            for row in random.integers(0, len(embeddings), 100):
                positions, _ = top_k(vectors, embeddings[row : row + 1], 3)
                found += gallery.images(vectors.ids[positions[0]])[0].path == f"{row}.png"
        if number % (SEARCHES // 100 // 40) == 0:
            growth.measure()
    assert found > 0.99 * SEARCHES
    tally("long: searches, the gallery opened anew every 100", SEARCHES, growth.check(memory=5))
