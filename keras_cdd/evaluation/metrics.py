"""mAP, mINP and CMC with the camera rule (NumPy)."""

import numpy as np

from keras_cdd.evaluation.ranking_metrics import RankingMetrics

CHUNK_BYTES = 64 << 20


def evaluate_ranking(distances, query_ids, gallery_ids, query_cameras=None, gallery_cameras=None, max_rank=50):
    """CMC and mAP of a distance matrix, as fractions.

    Args:
        distances: (queries, gallery), smaller is more alike.
        query_ids, gallery_ids: identities (integers or strings).
        query_cameras, gallery_cameras: cameras; without them nothing is junk.
        max_rank: length of the CMC; at most the size of the gallery.

    Returns:
        `(cmc, m_ap)`.

    Raises:
        ValueError: if no query has a match in the gallery, or the shapes disagree.
    """
    metrics = rank_metrics(
        lambda rows: distances[rows], query_ids, gallery_ids, query_cameras, gallery_cameras, max_rank
    )
    return metrics.cmc, metrics.m_ap


def rank_embeddings(
    query_embeddings, gallery_embeddings, query_ids, gallery_ids, query_cameras=None, gallery_cameras=None, max_rank=50
):
    """`RankingMetrics` by cosine of embeddings (N, D); never more than a few queries times the gallery in memory."""
    query, gallery = unit_length(query_embeddings), unit_length(gallery_embeddings)
    return rank_metrics(
        lambda rows: -(query[rows] @ gallery.T), query_ids, gallery_ids, query_cameras, gallery_cameras, max_rank
    )


def rank_metrics(distances_of, query_ids, gallery_ids, query_cameras=None, gallery_cameras=None, max_rank=50):
    """`RankingMetrics` of distances that come a slice of queries at a time.

    Args:
        distances_of: function of a slice of queries, gives (queries in the slice, gallery).
    """
    query_ids, gallery_ids = np.asarray(query_ids), np.asarray(gallery_ids)
    cameras = _cameras(query_cameras, gallery_cameras)
    max_rank = min(max_rank, len(gallery_ids))
    rows = max(1, CHUNK_BYTES // (8 * max(1, len(gallery_ids))))
    parts = []
    for start in range(0, len(query_ids), rows):
        chunk = slice(start, start + rows)
        matches = query_ids[chunk, None] == gallery_ids[None]
        junk = None if cameras is None else matches & (cameras[0][chunk, None] == cameras[1][None])
        parts.append(_score(np.asarray(distances_of(chunk)), matches, junk))
    if not parts or not any(np.isfinite(precision).any() for precision, _, _ in parts):
        raise ValueError("No query has a match in the gallery; check identities and cameras of both.")
    precision, penalty, first = (np.concatenate(column) for column in zip(*parts, strict=True))
    valid = np.isfinite(precision)
    cmc = np.mean(first[valid, None] <= np.arange(max_rank)[None], axis=0)
    return RankingMetrics(
        float(precision[valid].mean()), float(penalty[valid].mean()), cmc, precision, int(valid.sum())
    )


def unit_length(embeddings):
    """Rows scaled to length 1 in float32; zero rows stay zero."""
    embeddings = np.asarray(embeddings, np.float32)
    return embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)


def _cameras(query_cameras, gallery_cameras):
    if query_cameras is None or gallery_cameras is None:
        return None
    if any(camera is None for camera in [*query_cameras, *gallery_cameras]):
        return None
    return np.asarray(query_cameras), np.asarray(gallery_cameras)


def _score(distances, matches, junk):
    """Average precision, inverse negative penalty (NaN without a match) and rank of the first match, from 0.

    Junk - same identity, same camera - is neither right nor wrong: it moves behind everything else.
    """
    if distances.shape != matches.shape:
        raise ValueError(f"Distances must be (queries, gallery) = {matches.shape}. Received: shape {distances.shape}")
    if junk is not None:
        distances = np.where(junk, np.inf, distances)
        matches = matches & ~junk
    order = np.argsort(distances, axis=1, kind="stable")
    hits = np.take_along_axis(matches, order, axis=1)
    counts = hits.sum(axis=1)
    valid = np.maximum(counts, 1)
    query, rank = np.nonzero(hits)
    number = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    precision = np.bincount(query, number / (rank + 1), minlength=len(hits)) / valid
    last = np.zeros(len(hits))
    last[query] = rank + 1
    first = np.where(counts > 0, hits.argmax(axis=1), hits.shape[1])
    penalty = counts / np.maximum(last, 1)
    return np.where(counts > 0, precision, np.nan), np.where(counts > 0, penalty, np.nan), first
