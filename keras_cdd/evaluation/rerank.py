"""k-reciprocal re-ranking (Zhong et al., CVPR 2017) with sparse neighbour vectors."""

import numpy as np
import scipy.sparse

from keras_cdd.evaluation.metrics import unit_length


def rerank(query_embeddings, gallery_embeddings, k1=20, k2=6, weight=0.3, normalize=True):
    """Distances (queries, gallery) that mix the original distance with the Jaccard distance of k-reciprocal neighbours.

    Args:
        query_embeddings, gallery_embeddings: (N, D).
        k1: size of the neighbourhoods.
        k2: neighbours over which a neighbourhood is averaged (1 switches that off).
        weight: of the original distance.
        normalize: scale embeddings to length 1 first.
    """
    x = np.concatenate([query_embeddings, gallery_embeddings]).astype(np.float32)
    x = unit_length(x) if normalize else x
    queries = len(query_embeddings)
    ranks = _nearest(x, max(k1, k2) + 1)
    encoded = _encode(x, ranks, k1)
    if k2 > 1:
        # Each row becomes the mean over its k2 nearest (query expansion).
        rows = np.repeat(np.arange(len(x)), k2)
        mean = scipy.sparse.csr_matrix((np.full(len(rows), 1 / k2, np.float32), (rows, ranks[:, :k2].ravel())))
        encoded = (mean @ encoded).tocsr()
    original = _relative_distances(x, np.arange(queries))[:, queries:]
    return (1 - weight) * _jaccard(encoded, queries) + weight * original


def _relative_distances(x, rows):
    """`2 - 2 cosine` from the given rows to all, divided by each row's largest."""
    distances = 2.0 - 2.0 * (x[rows] @ x.T)
    return distances / distances.max(axis=1, keepdims=True)


def _nearest(x, count, chunk=512):
    count = min(count, len(x))
    parts = []
    for start in range(0, len(x), chunk):
        distances = _relative_distances(x, np.arange(start, min(start + chunk, len(x))))
        parts.append(np.argsort(distances, axis=1, kind="stable")[:, :count])
    return np.concatenate(parts)


def _reciprocal(ranks, row, k):
    """Neighbours of `row` within k that have it within their k as well."""
    forward = ranks[row, : k + 1]
    return forward[np.any(ranks[forward, : k + 1] == row, axis=1)]


def _encode(x, ranks, k1):
    """Sparse rows: `exp(-distance)` to the k-reciprocal neighbours and to those that share most of theirs."""
    half = int(np.around(k1 / 2))
    near = [_reciprocal(ranks, row, half) for row in range(len(x))]
    rows, columns, values = [], [], []
    for row in range(len(x)):
        own = _reciprocal(ranks, row, k1)
        joined = [near[c] for c in own if len(np.intersect1d(near[c], own)) > 2 / 3 * len(near[c])]
        members = np.unique(np.concatenate([own, *joined]))
        distances = _relative_distances(x, np.array([row]))[0, members]
        weights = np.exp(-distances)
        rows.append(np.full(len(members), row))
        columns.append(members)
        values.append(weights / weights.sum())
    flat = np.concatenate(values).astype(np.float32), (np.concatenate(rows), np.concatenate(columns))
    return scipy.sparse.csr_matrix(flat, shape=(len(x), len(x)))


def _jaccard(encoded, queries):
    """`1 - sum(min) / sum(max)` of the rows' vectors, queries against the others."""
    gallery = encoded[queries:].tocsc()
    distances = np.empty((queries, encoded.shape[0] - queries), np.float32)
    for query in range(queries):
        shared = np.zeros(distances.shape[1], np.float32)
        row = encoded[query]
        for column, value in zip(row.indices, row.data, strict=True):
            span = slice(gallery.indptr[column], gallery.indptr[column + 1])
            shared[gallery.indices[span]] += np.minimum(value, gallery.data[span])
        distances[query] = 1.0 - shared / (2.0 - shared)
    return distances
