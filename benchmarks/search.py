"""Search over a million int8 embeddings, against two indexes of faiss that compare all of them: float32, and 8 bits.

    python -m benchmarks.search --images=1000000 --embedding_size=512

Embeddings are random, in noisy groups like those of identities. All searches take turns, so that other load on the
machine affects all; the table shows medians. float32 takes four times the memory; faiss rounds to 8 bits again,
since it knows no scale a row, and ranks a little differently. Needs `pip install faiss-cpu`.
"""

import argparse
import statistics
import time

import numpy as np

from export.gallery.search import top_k
from export.gallery.vector_codec import encode
from export.gallery.vectors import GalleryVectors
from export.plain_command import without_keras

TOP_K, ROUNDS, BATCHES = 10, 5, (1, 16, 64)
IDENTITY_SIZE, NOISE, BLOCK = 20, 0.8, 20_000


def main(options):
    try:
        import faiss
    except ImportError:
        raise SystemExit("error: faiss is not installed; pip install faiss-cpu") from None
    rng = np.random.default_rng(0)
    vectors = random_vectors(rng, options.images, options.embedding_size)
    size, product = options.embedding_size, faiss.METRIC_INNER_PRODUCT
    indexes = {
        "float32": faiss.IndexFlatIP(size),
        "8 bits": faiss.IndexScalarQuantizer(size, faiss.ScalarQuantizer.QT_8bit, product),
    }
    building = {}
    for name, index in indexes.items():
        begin = time.perf_counter()
        for start in range(0, len(vectors), BLOCK):
            unit = as_unit(vectors, slice(start, start + BLOCK))
            if not index.is_trained:
                index.train(unit)
            index.add(unit)
        building[name] = time.perf_counter() - begin
    print(f"{len(vectors):,} x {options.embedding_size}, top {TOP_K}, {faiss.omp_get_max_threads()} threads")
    megabytes = vectors.stored.nbytes / 1e6
    print(f"int8: {megabytes:,.0f} MB; faiss {faiss.__version__}: {4 * megabytes:,.0f} MB")
    print("building: " + ", ".join(f"faiss {name} {seconds:.1f} s" for name, seconds in building.items()))
    print("queries  int8 ms  float32 ms  same results  8 bits ms  same results")
    for count in BATCHES:
        print(compared(vectors, indexes, noisy(rng, as_unit(vectors, rng.integers(len(vectors), size=count)))))


def random_vectors(rng, count, size):
    """`GalleryVectors` of `count` embeddings of length `size`, 20 per identity."""
    stored, scales = np.empty((count, size), np.int8), np.empty(count)
    for start in range(0, count, BLOCK):
        rows = slice(start, min(start + BLOCK, count))
        identities = rng.normal(size=(BLOCK // IDENTITY_SIZE, size)).astype(np.float32)
        unit = noisy(rng, identities.repeat(IDENTITY_SIZE, axis=0)[: rows.stop - rows.start] / np.sqrt(size))
        stored[rows], scales[rows] = encode(unit, "int8")
    return GalleryVectors(np.arange(1, count + 1), stored, scales)


def noisy(rng, unit):
    """The rows with random noise added, normalised again."""
    moved = unit + (NOISE / np.sqrt(unit.shape[1])) * rng.normal(size=unit.shape).astype(np.float32)
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)


def as_unit(vectors, rows):
    """Embeddings of these rows, (N, D) float32 of length 1."""
    return (vectors.stored[rows] * vectors.scales[rows, None]).astype(np.float32)


def compared(vectors, indexes, queries):
    """The line of the table for these queries."""
    seconds, ours = [], None
    theirs, found = {name: [] for name in indexes}, {}
    for _ in range(ROUNDS):
        ours = timed(seconds, lambda: top_k(vectors, queries, TOP_K))[0]
        for name, index in indexes.items():
            found[name] = timed(theirs[name], lambda index=index: index.search(queries, TOP_K))[1]
    line = f"{len(queries):>7}  {1000 * statistics.median(seconds):7.0f}"
    for name, times in theirs.items():
        same = 100 * np.mean(ours == found[name])
        line += f"  {1000 * statistics.median(times):{len(name) + 3}.0f}  {same:11.1f}%"
    return line


def timed(seconds, search):
    start = time.perf_counter()
    found = search()
    seconds.append(time.perf_counter() - start)
    return found


if __name__ == "__main__":
    without_keras()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--embedding_size", type=int, default=512)
    main(parser.parse_args())
