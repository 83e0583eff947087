"""What a run costs as images, identities, width and gallery grow: each part alone, at four sizes, fitted and continued.

    python -m benchmarks.scale

The last columns continue the line or power law to VeRi-776, MSMT17 and 100 million photos of 5 million identities.
Seconds are processor time of all threads, the least of a few turns; bytes are what Python, NumPy or a file holds, and
for the classifier what the process grew by. `--quick` shows that every row can be computed; its figures mean nothing.
docs/scale.md explains the table.
"""

import argparse
import pathlib
import resource
import tempfile
import zipfile

# Before TensorFlow, whose oneDNN kernels it switches on.
import keras_cdd  # noqa: F401  # isort: skip
import keras
import numpy as np
import tensorflow as tf

from benchmarks.growth import POWER, Growth, held, seconds
from benchmarks.input import write_photos
from benchmarks.ranking import embeddings
from benchmarks.search import as_unit, random_vectors
from benchmarks.speed import machine
from export.gallery.embedded_batch import EmbeddedBatch, embed_batch
from export.gallery.embedding_model import EmbeddingModel
from export.gallery.format import GalleryFormat
from export.gallery.gallery import Gallery
from export.gallery.image import GalleryImage, thumbnail_of
from export.gallery.image_list import images_below
from export.gallery.search import top_k
from keras_cdd.data import ImageStore, read_image
from keras_cdd.distill import Distiller, EmbeddingQueue, FisherScore, GradientReset
from keras_cdd.evaluation.metrics import rank_embeddings, slices
from keras_cdd.evaluation.rerank import reranked_distances
from keras_cdd.losses.identity import identity_loss
from keras_cdd.models import count_macs, gated_resnet
from keras_cdd.models.gated_units import gated_units
from keras_cdd.optimization import MomentumSGD

HEADS = ("part", "measured at", "figures", "fit", "VeRi-776", "MSMT17", "100 M photos")
# In the order of the heads.
TRAINING, IDENTITIES = (37_778, 32_621, 100_000_000), (576, 1_041, 5_000_000)
GALLERY, QUERIES = (11_579, 82_161, 100_000_000), (1_678, 11_659, 1_000)
PIXELS, EMBEDDING, SEARCHED, BATCH = (256, 256), 512, 128, 24


def main(options):
    print(f"{machine()}\n\n| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        # The classifier first: what it grows by would be hidden by what others held before.
        for part in (classifier, steps, queues, listing, photos, galleries, rankings, rerankings):
            for row in part(options, pathlib.Path(folder)):
                print(row, flush=True)


def scaled(options, *sizes, quick=40):
    """The sizes, or with --quick as many from `quick` on in the same ratios."""
    return [size * quick // sizes[0] for size in sizes] if options.quick else list(sizes)


def classifier(options, _):
    """The identity loss and its gradient for a batch of 96, with its weights, gradients and momentum."""
    sizes, taken, grown = scaled(options, 2_000, 8_000, 32_000, 64_000), [], []
    before = peak_bytes()
    for identities in sizes:
        dense = keras.layers.Dense(identities, use_bias=False)
        dense.build((None, EMBEDDING))
        optimizer = MomentumSGD(1e-4)
        optimizer.build(dense.trainable_variables)
        images, labels = tf.random.normal((96, EMBEDDING)), tf.range(96) % identities
        taken.append(seconds(lambda one=(dense, optimizer, images, labels): learn(*one), options.rounds))
        grown.append(max(1, peak_bytes() - before))
    growth = Growth(sizes, "identities", IDENTITIES)
    yield growth.row("classifier, a step", "s", taken)
    yield growth.row("classifier, memory", "B", grown)


def learn(dense, optimizer, images, labels):
    with tf.GradientTape() as tape:
        loss = identity_loss(labels, dense(images))
    optimizer.apply(tape.gradient(loss, dense.trainable_variables), dense.trainable_variables)


def steps(options, _):
    """Steps of a student and its teacher; then the epochs of the published network, at as many seconds a MAC."""
    sizes, taken, macs = scaled(options, 8, 16, 32, 64, quick=2), [], []
    size = (32, 32) if options.quick else (64, 64)
    for width in sizes:
        keras.utils.set_random_seed(0)
        teacher = gated_resnet("resnet18", width, size, 100, EMBEDDING, indicators="none")
        student = gated_resnet("resnet18", width, size, 100, EMBEDDING)
        distiller = Distiller(student, teacher, parts=[FisherScore(filters(student))])
        distiller.compile(MomentumSGD(1e-4))
        data = (tf.random.uniform((BATCH, *size, 3), 0, 255), tf.repeat(tf.range(BATCH // 4), 4))
        step = tf.function(lambda d=distiller, data=data: d.train_step(data)["loss"], autograph=False)
        taken.append(seconds(step, options.rounds))
        macs.append(count_macs(teacher))
    at_64 = (64, 64, 64)
    yield Growth(sizes, "filters", at_64).row("step of ResNet-18, 64x64, batch 24", "s", taken, POWER)
    published = gated_resnet("resnet18" if options.quick else "resnet50", 64, PIXELS, 100, EMBEDDING, indicators="none")
    an_image = taken[-1] / BATCH / macs[-1] * count_macs(published)
    images = scaled(options, 1_000, 2_000, 4_000, 8_000)
    epochs = [an_image * count for count in images]
    yield Growth(images, "images", TRAINING).row("epoch of ResNet-50, 256x256 (computed)", "s", epochs)


def filters(student):
    return {site: unit.filters for site, unit in gated_units(student).items()}


def queues(options, _):
    """The search of the gradient reset for neighbours, at the sites of a ResNet-50."""
    sizes, taken, bytes_ = scaled(options, 1_500, 3_000, 6_000, 12_000), [], []
    widths = {f"{width}/{number}": width for width, count in ((64, 6), (128, 8), (256, 12)) for number in range(count)}
    ours, theirs = ({site: tf.random.normal((BATCH, width)) for site, width in widths.items()} for _ in range(2))
    for size in sizes:
        queue = EmbeddingQueue(size, widths)
        queue.written.assign(size)
        reset = GradientReset(queue, {site: range(width) for site, width in widths.items()})
        taken.append(seconds(tf.function(lambda reset=reset: reset.update(ours, theirs)), options.rounds))
        bytes_.append(sum(rows.numpy().nbytes for rows in queue.rows.values()))
    growth = Growth(sizes, "in the queue", (24_000,) * 3)
    yield growth.row("gradient reset of a batch of 24", "s", taken)
    yield growth.row("queue, memory", "B", bytes_)


def listing(options, folder):
    """The list of the images of an archive, which every process holds."""
    sizes, taken, bytes_ = scaled(options, 2_000, 4_000, 8_000, 16_000), [], []
    for size in sizes:
        path = folder / f"{size}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for number in range(size):
                archive.writestr(f"photos/{number // 20:07}/{number:09}.jpg", b"")
        taken.append(seconds(lambda path=path: images_below(path), options.rounds))
        bytes_.append(held(lambda path=path: images_below(path)))
    growth = Growth(sizes, "images", TRAINING)
    yield growth.row("list of images", "s", taken)
    yield growth.row("list of images, memory", "B", bytes_)


def photos(options, folder):
    """Decoding to the cache on disk, and embedding by a tiny network."""
    sizes, first, bytes_, embedded = scaled(options, 50, 100, 200, 400, quick=4), [], [], []
    keras.utils.set_random_seed(0)
    network = gated_resnet("resnet18", 4, PIXELS, 4, SEARCHED, indicators="none")
    keras.Model(network.inputs, network.output["embedding"]).save(folder / "tiny.keras")
    model = EmbeddingModel(folder / "tiny.keras")
    (folder / "photos").mkdir()
    records = write_photos(folder / "photos", max(sizes))
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=folder) as kept:
            first.append(seconds(lambda size=size, kept=kept: decode(records[:size], kept), 1))
            bytes_.append(sum(path.stat().st_size for path in pathlib.Path(kept, "0").rglob("*") if path.is_file()))
        embedded.append(seconds(lambda size=size: embed(model, records[:size]), 1))
    growth = Growth(sizes, "photos", TRAINING)
    yield growth.row("first pass into --cache_dir, 256x256", "s", first)
    yield growth.row("--cache_dir", "B", bytes_)
    yield Growth(sizes, "photos", GALLERY).row("embedding by a network of width 4", "s", embedded)


def embed(model, records):
    for start in range(0, len(records), 32):
        embed_batch(model, records[start : start + 32], "int8")


def decode(records, folder):
    """Into a folder in `folder` that is new for every call; the first is named 0."""
    fresh = pathlib.Path(folder, str(len(list(pathlib.Path(folder).iterdir()))))
    ImageStore(records, PIXELS, cache_bytes=0, cache_dir=fresh)


def galleries(options, folder):
    """A gallery of made embeddings of 128 int8 numbers, with thumbnails of a photo."""
    sizes, built, bytes_, memory, searched = scaled(options, 20_000, 40_000, 80_000, 160_000), [], [], [], []
    thumbnail = thumbnail_of(read_image(str(folder / "photos/0.jpg")))
    for size in sizes:
        path, vectors = folder / f"{size}.sqlite", random_vectors(np.random.default_rng(0), size, SEARCHED)
        images = [GalleryImage(f"{number:09}.jpg", f"made {number // 20}", None, thumbnail) for number in range(size)]
        built.append(seconds(lambda one=(path, images, vectors): build(*one), 1))
        bytes_.append(path.stat().st_size)
        query = as_unit(vectors, slice(0, 1))
        with Gallery(path) as gallery:
            memory.append(held(gallery.vectors))
        searched.append(seconds(lambda one=(vectors, query): [top_k(*one, 10) for _ in range(10)], options.rounds) / 10)
    growth = Growth(sizes, "images", GALLERY)
    yield growth.row("gallery, building", "s", built)
    yield growth.row("gallery, file", "B", bytes_)
    yield growth.row("search, memory", "B", memory)
    yield growth.row("search, a query", "s", searched)


def build(path, images, vectors):
    path.unlink(missing_ok=True)
    form = GalleryFormat("0" * 64, "made.tflite", (64, 64), SEARCHED, "int8")
    with Gallery(path, create=lambda: form) as gallery:
        for start in range(0, len(images), 1024):
            rows = slice(start, start + 1024)
            batch = EmbeddedBatch(images[rows], vectors.stored[rows], vectors.scales[rows], {})
            gallery.add(batch.images, batch.stored, batch.scales)


def rankings(options, _):
    """mAP and CMC: the time of a query, and the memory of 100 at once."""
    sizes, taken, bytes_ = scaled(options, 5_000, 10_000, 20_000, 40_000), [], []
    for size in sizes:
        query, gallery = embeddings(100, size)
        both = (query[0], gallery[0], query[1], gallery[1], query[2], gallery[2])
        taken.append(seconds(lambda both=both: rank_embeddings(*both), options.rounds) / 100)
        bytes_.append(held(lambda both=both: rank_embeddings(*both)))
    growth = Growth(sizes, "gallery images", GALLERY)
    yield growth.row("evaluation, a query", "s", taken)
    yield growth.row("evaluation, memory", "B", bytes_)


def rerankings(options, _):
    """Re-ranking, a tenth of the images being queries."""
    sizes, taken, bytes_ = scaled(options, 2_000, 4_000, 8_000, 16_000), [], []
    for size in sizes:
        query, gallery = embeddings(size // 10, size - size // 10)
        taken.append(seconds(lambda one=(query[0], gallery[0]): rerank_all(*one), 1))
        bytes_.append(held(lambda one=(query[0], gallery[0]): rerank_all(*one)))
    growth = Growth(sizes, "images", [sum(both) for both in zip(GALLERY, QUERIES, strict=True)])
    yield growth.row("re-ranking", "s", taken, POWER)
    yield growth.row("re-ranking, memory", "B", bytes_, POWER)


def rerank_all(query, gallery):
    """As an evaluation does, which keeps no matrix of all distances."""
    distances_of = reranked_distances(query, gallery)
    for rows in slices(len(query), len(gallery)):
        distances_of(rows)


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="Turns of each figure.")
    parser.add_argument("--quick", action="store_true", help="Tiny sizes.")
    main(parser.parse_args())
