"""Search over a million int8 embeddings, against faiss' exact index.

    python -m benchmarks.search --images=1000000 --embedding_size=512

Embeddings are random, in noisy groups like those of identities. Both searches take turns, so that other load on the
machine affects both; the table shows medians. faiss stores float32, which takes four times the memory. Only this script
needs it: `pip install faiss-cpu`.
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
    index = faiss.IndexFlatIP(options.embedding_size)
    for start in range(0, len(vectors), BLOCK):
        index.add(as_unit(vectors, slice(start, start + BLOCK)))
    print(f"{len(vectors):,} x {options.embedding_size}, top {TOP_K}, {faiss.omp_get_max_threads()} threads")
    megabytes = vectors.stored.nbytes / 1e6
    print(f"int8: {megabytes:,.0f} MB; faiss {faiss.__version__}: {4 * megabytes:,.0f} MB")
    print("queries  int8 ms  faiss ms  faiss / int8  same results")
    for count in BATCHES:
        print(compared(vectors, index, noisy(rng, as_unit(vectors, rng.integers(len(vectors), size=count)))))


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


def compared(vectors, index, queries):
    """The line of the table for these queries."""
    seconds = {"int8": [], "faiss": []}
    for _ in range(ROUNDS):
        ours = timed(seconds["int8"], lambda: top_k(vectors, queries, TOP_K))[0]
        theirs = timed(seconds["faiss"], lambda: index.search(queries, TOP_K))[1]
    int8, faiss = (1000 * statistics.median(seconds[name]) for name in ("int8", "faiss"))
    return f"{len(queries):>7}  {int8:7.0f}  {faiss:8.0f}  {faiss / int8:12.2f}  {100 * np.mean(ours == theirs):11.1f}%"


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
