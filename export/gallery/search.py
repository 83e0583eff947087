"""Exact nearest-neighbour search in a gallery (NumPy)."""

import numpy as np

# Embeddings per block; a block in float32 stays in the processor's cache.
BLOCK = 1024
QUERIES_AT_ONCE = 64
# Bound on the rounding error of a float32 similarity of unit vectors.
MARGIN = 1e-5


def top_k(vectors, queries, k):
    """Finds the k most similar embeddings by comparing with all of them.

    A first pass in float32 selects candidates, and a second pass in float64 ranks them, so that float32 rounding and
    the order of summation do not decide between nearly equal similarities.

    Args:
        vectors: `GalleryVectors` of N images.
        queries: (Q, D), rows of length 1.
        k: number of results per query.

    Returns:
        `(positions, similarities)`: int64 and float64 (Q, min(k, N)), the most similar first, ties in the gallery's
        order. Similarities are cosines.

    Raises:
        ValueError: if `queries` is not (Q, D) with the gallery's D, or if `k` is below 1.
    """
    queries = np.asarray(queries)
    if queries.ndim != 2 or queries.shape[1] != vectors.stored.shape[1]:
        raise ValueError(f"Argument `queries` must be (Q, {vectors.stored.shape[1]}). Received: shape {queries.shape}")
    if k < 1:
        raise ValueError(f"Argument `k` must be at least 1. Received: k={k}")
    k = min(k, len(vectors))
    positions, similarities = np.empty((len(queries), k), np.int64), np.empty((len(queries), k))
    if k:
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            rough = _rough_similarities(vectors, queries[start : start + QUERIES_AT_ONCE])
            for row, values in enumerate(rough, start):
                positions[row], similarities[row] = _best(vectors, queries[row], values, k)
    return positions, similarities


def _rough_similarities(vectors, queries):
    """float32 (Q, N); converts the stored numbers block by block, since memory bandwidth would limit the speed."""
    count, size = vectors.stored.shape
    queries = np.ascontiguousarray(queries, np.float32)
    rough, block = np.empty((len(queries), count), np.float32), np.empty((BLOCK, size), np.float32)
    for start in range(0, count, BLOCK):
        rows = vectors.stored[start : start + BLOCK]
        np.copyto(block[: len(rows)], rows)
        rough[:, start : start + len(rows)] = _products(queries, block[: len(rows)])
    rough *= vectors.scales.astype(np.float32)
    return rough


def _products(queries, block):
    if len(queries) == 1:
        # BLAS would wake its threads for every block, which takes longer than the product on a busy machine.
        return np.einsum("nd,d->n", block, queries[0])
    return queries @ block.T


def _best(vectors, query, rough, k):
    threshold = np.partition(rough, len(rough) - k)[len(rough) - k] - MARGIN
    candidates = np.flatnonzero(rough >= threshold)
    exact = np.concatenate(
        [
            _exact_similarities(vectors, query, candidates[start : start + BLOCK])
            for start in range(0, len(candidates), BLOCK)
        ]
    )
    order = np.lexsort((candidates, -exact))[:k]
    return candidates[order], exact[order]


def _exact_similarities(vectors, query, positions):
    products = vectors.stored[positions].astype(np.float64) * query.astype(np.float64)
    return products.sum(1) * vectors.scales[positions]
