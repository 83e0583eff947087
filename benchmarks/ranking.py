"""Ranking and re-ranking of random embeddings at the size of published data sets, beside the bare matrix product.

    python -m benchmarks.ranking --rounds=3

MSMT17's gallery has 82,161 images, VeRi-776's 11,579 (1,678 queries). Embeddings of an identity are near one another,
and every query has about 8 matches by other cameras. `--queries=100000 --no-rerank --rounds=1` shows that memory is
bounded.
"""

import argparse
import resource
import time

import numpy as np

from benchmarks.turns import in_turns, table
from keras_cdd.evaluation.metrics import rank_embeddings
from keras_cdd.evaluation.rerank import rerank

SIZE, IDENTITY_SIZE, CAMERAS, NOISE = 512, 10, 6, 1.0
VERI = (1_678, 11_579)
PRODUCT, RANKING = "matrix product alone, float32", "mAP, mINP and CMC"


def main(options):
    query, gallery = embeddings(options.queries, options.gallery)
    print(f"ranking {options.queries:,} x {options.gallery:,} x {SIZE}\n")
    tasks = {
        PRODUCT: (lambda: product(query[0], gallery[0]), 1),
        RANKING: (lambda: rank_embeddings(query[0], gallery[0], query[1], gallery[1], query[2], gallery[2]), 1),
    }
    print(table(in_turns(tasks, options.rounds), {RANKING: PRODUCT}, unit=None))
    print(f"\nlargest memory of the process: {peak_gib():.2f} GiB")
    if options.rerank:
        query, gallery = embeddings(*options.veri)
        started = time.perf_counter()
        rerank(query[0], gallery[0])
        seconds = time.perf_counter() - started
        print(f"\nre-ranking {options.veri[0]:,} + {options.veri[1]:,}: {seconds:.1f} s; memory {peak_gib():.2f} GiB")


def embeddings(queries, gallery):
    """(embeddings, identities, cameras) of queries and of a gallery."""
    rng = np.random.default_rng(0)
    identities = max(1, gallery // IDENTITY_SIZE)
    centres = rng.normal(size=(identities, SIZE)).astype(np.float32)
    sides = []
    for count in (queries, gallery):
        of = rng.integers(identities, size=count)
        noise = rng.standard_normal((count, SIZE), np.float32)
        noise *= NOISE
        noise += centres[of]
        sides.append((noise, of, rng.integers(CAMERAS, size=count)))
    return sides


def product(query, gallery, rows=512):
    """The products of all pairs, a slice of the queries at a time."""
    return [float((query[start : start + rows] @ gallery.T)[0, 0]) for start in range(0, len(query), rows)]


def peak_gib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=1_000, help="Queries to rank.")
    parser.add_argument("--gallery", type=int, default=82_161, help="Images that they are ranked among.")
    parser.add_argument("--veri", type=int, nargs=2, default=VERI, help="Queries and gallery to re-rank.")
    parser.add_argument("--rerank", action=argparse.BooleanOptionalAction, default=True, help="Whether to re-rank.")
    parser.add_argument("--rounds", type=int, default=3, help="Turns of each row.")
    main(parser.parse_args())
