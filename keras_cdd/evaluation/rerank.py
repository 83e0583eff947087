"""k-reciprocal re-ranking (Zhong et al., CVPR 2017) with sparse neighbourhoods (NumPy, SciPy).

Neighbourhoods are rows of sparse (N, N) matrices, N being queries plus gallery, so memory grows with N times k1. The
only dense arrays are slices of rows of the distance matrix.
"""

import numpy as np
import scipy.sparse

from keras_cdd.evaluation.metrics import slices, unit_length

TINY = 1e-12
GROUPS = 64


def rerank(query_embeddings, gallery_embeddings, k1=20, k2=6, weight=0.3, normalize=True):
    """Re-ranked distances (queries, gallery) float32; arguments and errors as in `reranked_distances`."""
    distances_of = reranked_distances(query_embeddings, gallery_embeddings, k1, k2, weight, normalize)
    parts = slices(len(query_embeddings), len(gallery_embeddings))
    return np.concatenate([distances_of(rows) for rows in parts])


def reranked_distances(query_embeddings, gallery_embeddings, k1=20, k2=6, weight=0.3, normalize=True):
    """Weighted sum of original distance and Jaccard distance of k-reciprocal neighbourhoods (equation 12).

    Args:
        query_embeddings, gallery_embeddings: (queries, D) and (gallery, D).
        k1: number of nearest neighbours from which reciprocal ones are taken. Default: 20.
        k2: number of neighbours for local query expansion; 1 turns it off. Default: 6.
        weight: weight of the original distance, 0..1. Default: 0.3.
        normalize: scale the embeddings to length 1 first. Default: True.

    Returns:
        Function from a slice of the queries to their distances (queries in the slice, gallery) float32.

    Raises:
        ValueError: if `k1` or `k2` is below 1 or `weight` is outside 0..1.
    """
    if k1 < 1 or k2 < 1 or not 0 <= weight <= 1:
        raise ValueError(
            "Arguments `k1` and `k2` must be at least 1 and `weight` within 0..1. "
            f"Received: k1={k1}, k2={k2}, weight={weight}"
        )
    x = np.concatenate([query_embeddings, gallery_embeddings]).astype(np.float32)
    x = unit_length(x) if normalize else x
    queries = len(query_embeddings)
    neighbours, farthest = _nearest(x, max(k1 + 1, k2))
    encoded = _average(_encode(x, neighbours, farthest, k1), neighbours[:, :k2])
    members = encoded[queries:].T.tocsr()

    def distances_of(rows):
        near = _jaccard_distances(encoded[:queries][rows], members)
        far = _relative_distances(x[:queries][rows], x[queries:], farthest[:queries][rows])
        return (1 - weight) * near + weight * far

    return distances_of


def _relative_distances(rows, columns, farthest):
    """`2 - 2 cosine`, divided by the largest distance that each row has to any image."""
    return (2.0 - 2.0 * (rows @ columns.T)) / farthest[:, None]


def _nearest(x, count):
    """Indices of each row's nearest rows, nearest first, (N, count), and its largest distance to any row, (N,)."""
    count = min(count, len(x))
    neighbours, farthest = np.empty((len(x), count), np.int64), np.empty(len(x), np.float32)
    for rows in slices(len(x), len(x), item_bytes=16):
        distances = x[rows] @ x.T
        distances *= -2.0
        distances += 2.0
        farthest[rows] = np.maximum(distances.max(axis=1), TINY)
        neighbours[rows] = _smallest(distances, count)
    return neighbours, farthest


def _smallest(distances, count):
    """Columns (n, count) of the smallest values of each row, the smallest first, equal ones in order.

    The count-th smallest of the minima of some groups of columns is no smaller than the count-th smallest value, so
    only the few values up to it are sorted.
    """
    groups = max(GROUPS, 2 * count)
    if distances.shape[1] < 2 * groups:
        return np.argsort(distances, axis=1, kind="stable")[:, :count]
    # Neighbouring columns, often of one identity, belong to different groups.
    whole = distances.shape[1] // groups * groups
    minima = distances[:, :whole].reshape(len(distances), -1, groups).min(axis=1)
    bound = np.partition(minima, count - 1, axis=1)[:, count - 1 : count]
    row, column = np.nonzero(distances <= bound)
    order = np.lexsort((column, distances[row, column], row))
    first = np.searchsorted(row, np.arange(len(distances)))
    return column[order[first[:, None] + np.arange(count)]]


def _sets(neighbours):
    """Sparse (N, N) matrix with ones in row i at the neighbours of i."""
    count, width = neighbours.shape
    ones, starts = np.ones(count * width, np.float32), np.arange(count + 1) * width
    return scipy.sparse.csr_matrix((ones, neighbours.ravel(), starts), (count, count))


def _reciprocal(neighbours, k):
    """R(p, k) of equation 3: p and those of its k nearest neighbours that have p among theirs, in row p."""
    near = _sets(neighbours[:, : k + 1])
    return near.multiply(near.T).tocsr()


def _encode(x, neighbours, farthest, k1):
    """Equations 5 and 7: exp(-distance) to the expanded k-reciprocal neighbours; every row sums to 1."""
    own, half = _reciprocal(neighbours, k1), _reciprocal(neighbours, int(np.around(k1 / 2)))
    # A neighbour's set of size k1 / 2 is added if more than two thirds of it are in p's own set. Reciprocity is
    # symmetric, so `half` equals its transpose.
    shared = own.multiply(own @ half).tocoo()
    joins = shared.data > 2 / 3 * np.diff(half.indptr)[shared.col]
    joining = scipy.sparse.csr_matrix((shared.data[joins], (shared.row[joins], shared.col[joins])), own.shape)
    expanded = (own + joining @ half).tocoo()
    values = np.empty(expanded.nnz, np.float32)
    for part in slices(expanded.nnz, x.shape[1]):
        row, column = expanded.row[part], expanded.col[part]
        similarity = np.einsum("nd,nd->n", x[row], x[column])
        values[part] = np.exp(-(2.0 - 2.0 * similarity) / farthest[row])
    sums = np.bincount(expanded.row, values, minlength=len(x))
    return scipy.sparse.csr_matrix(
        ((values / sums[expanded.row]).astype(np.float32), (expanded.row, expanded.col)), expanded.shape
    )


def _average(encoded, neighbours):
    """Local query expansion (equation 11): each row becomes the mean of its neighbours' rows."""
    return ((_sets(neighbours) / neighbours.shape[1]) @ encoded).tocsr()


def _jaccard_distances(encoded, members):
    """`1 - sum(min) / sum(max)` (equation 10) of sparse rows (n, N) and those of the gallery, given as (N, gallery).

    Rows sum to 1, so sum(max) is 2 - sum(min), and only the non-zero entries of a query's row matter.
    """
    touched = members[encoded.indices]
    lengths = np.diff(touched.indptr)
    smaller = np.minimum(np.repeat(encoded.data, lengths), touched.data)
    row = np.repeat(np.repeat(np.arange(encoded.shape[0]), np.diff(encoded.indptr)), lengths)
    shape = encoded.shape[0], members.shape[1]
    shared = np.bincount(row * shape[1] + touched.indices, smaller, minlength=shape[0] * shape[1])
    return (1.0 - shared / (2.0 - shared)).astype(np.float32).reshape(shape)
