"""mAP, mINP and CMC; same-camera images of an identity are junk (NumPy)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_cdd.errors import UserError
from keras_cdd.evaluation.match_ranks import match_ranks
from keras_cdd.evaluation.ranking_metrics import RankingMetrics

CHUNK_BYTES = 64 << 20
UNKNOWN_CAMERAS = (None, -1)

Names = Sequence[Any] | np.ndarray


def evaluate_ranking(
    distances: ArrayLike,
    query_ids: Names,
    gallery_ids: Names,
    query_cameras: Names | None = None,
    gallery_cameras: Names | None = None,
    max_rank: int = 50,
) -> tuple[np.ndarray, float]:
    """CMC and mAP of a distance matrix, as fractions.

    Gallery images with the query's identity and the query's camera are junk: they are removed from that query's
    ranking. Queries without any other image of their identity are ignored. Equal distances keep the order of the
    gallery.

    Args:
        distances: (queries, gallery); smaller is more similar.
        query_ids, gallery_ids: identities, integers or strings.
        query_cameras, gallery_cameras: cameras, integers or strings. Without both of them, and where a camera is
            unknown (None or -1), nothing is junk.
        max_rank: length of the CMC, which is shorter if the gallery is smaller. Default: 50.

    Returns:
        `(cmc, m_ap)`: float64 (min(max_rank, gallery),) and a float, both 0..1.

    Raises:
        ValueError: if no query has a match in the gallery, a distance is NaN, or the shapes disagree.
    """
    distances = np.asarray(distances)
    _check_shape(distances, len(query_ids), len(gallery_ids))
    metrics = rank_metrics(distances.__getitem__, query_ids, gallery_ids, query_cameras, gallery_cameras, max_rank)
    return metrics.cmc, metrics.mAP


def rank_embeddings(
    query_embeddings: np.ndarray,
    gallery_embeddings: np.ndarray,
    query_ids: Names,
    gallery_ids: Names,
    query_cameras: Names | None = None,
    gallery_cameras: Names | None = None,
    max_rank: int = 50,
) -> RankingMetrics:
    """`RankingMetrics` by cosine similarity of embeddings, a slice of the queries at a time to bound memory.

    Args:
        query_embeddings, gallery_embeddings: (queries, D) and (gallery, D); they need not be normalised.
        query_ids, gallery_ids, query_cameras, gallery_cameras, max_rank: see `evaluate_ranking`.

    Raises:
        ValueError: if there are not as many embeddings as identities, and as `evaluate_ranking`.
    """
    if len(query_embeddings) != len(query_ids):
        raise ValueError(
            "Arguments `query_embeddings` and `query_ids` must be of one length. "
            f"Received: {len(query_embeddings)} and {len(query_ids)}"
        )
    query, opposite = unit_length(query_embeddings), unit_length(gallery_embeddings)
    np.negative(opposite, out=opposite)
    return rank_metrics(
        lambda rows: query[rows] @ opposite.T, query_ids, gallery_ids, query_cameras, gallery_cameras, max_rank
    )


def rank_metrics(
    distances_of: Callable[[slice], ArrayLike],
    query_ids: Names,
    gallery_ids: Names,
    query_cameras: Names | None = None,
    gallery_cameras: Names | None = None,
    max_rank: int = 50,
) -> RankingMetrics:
    """`RankingMetrics` of distances that are computed for a slice of the queries at a time.

    Args:
        distances_of: function from a slice of the queries to their distances (queries in the slice, gallery).
        query_ids, gallery_ids, query_cameras, gallery_cameras, max_rank: see `evaluate_ranking`.

    Raises:
        ValueError: if `max_rank` is below 1, and as `evaluate_ranking`.
    """
    if max_rank < 1:
        raise ValueError(f"Argument `max_rank` must be at least 1. Received: max_rank={max_rank}")
    identities = _codes("ids", query_ids, gallery_ids)
    cameras = [np.full(len(side), -1) for side in identities]
    if query_cameras is not None and gallery_cameras is not None:
        cameras = _codes("cameras", query_cameras, gallery_cameras, UNKNOWN_CAMERAS)
    if [len(side) for side in cameras] != [len(side) for side in identities]:
        raise ValueError(
            "Arguments `query_cameras` and `gallery_cameras` must name a camera for each identity. "
            f"Received: {[len(side) for side in cameras]} for {[len(side) for side in identities]}"
        )
    scores = np.array(list(_scores(distances_of, *identities, *cameras))).reshape(-1, 3)
    precision, penalty, first = scores.T
    valid = np.isfinite(first)
    if not valid.any():
        raise UserError("No query has a match in the gallery; check identities and cameras of both.")
    ranks = np.arange(1, min(max_rank, len(gallery_ids)) + 1)
    return RankingMetrics(
        mAP=float(precision[valid].mean()),
        mINP=float(penalty[valid].mean()),
        cmc=np.mean(first[valid, None] <= ranks, axis=0),
        num_valid_queries=int(valid.sum()),
        average_precisions=precision,
        inverse_negative_penalties=penalty,
    )


def slices(count: int, width: int, item_bytes: int = 8) -> list[slice]:
    """Slices of `count` rows of `width` items, each of at most `CHUNK_BYTES` but at least one row."""
    rows = max(1, CHUNK_BYTES // (item_bytes * max(1, width)))
    return [slice(start, min(start + rows, count)) for start in range(0, count, rows)]


def unit_length(embeddings: ArrayLike) -> np.ndarray:
    """(N, D) -> (N, D) float32 with rows of length 1; zero rows stay zero."""
    embeddings = np.asarray(embeddings, np.float32)
    return embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)


def _check_shape(distances: np.ndarray, queries: int, gallery: int) -> None:
    if distances.shape != (queries, gallery):
        raise ValueError(
            f"Distances must be (queries, gallery), {(queries, gallery)}. Received: shape {distances.shape}"
        )


def _codes(what: str, query_names: Names, gallery_names: Names, unknown: tuple = ()) -> list[np.ndarray]:
    """The names of both sides as integers, equal where the names are equal; -1 for unknown ones."""
    codes = dict.fromkeys(unknown, -1)
    sides = [np.asarray(names, dtype=object) for names in (query_names, gallery_names)]
    if any(side.ndim != 1 for side in sides):
        raise ValueError(f"Query and gallery {what} must be flat lists. Received: {[s.shape for s in sides]}")
    return [np.array([codes.setdefault(name, len(codes)) for name in side], np.int64) for side in sides]


def _scores(
    distances_of: Callable[[slice], ArrayLike],
    query_ids: np.ndarray,
    gallery_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_cameras: np.ndarray,
) -> Iterator[Sequence[Any]]:
    """Yields average precision, inverse negative penalty and rank of the first match for each query, or three NaNs."""
    positions_of = _by_identity(gallery_ids)
    for chunk in slices(len(query_ids), len(gallery_ids)):
        distances = np.asarray(distances_of(chunk))
        _check_shape(distances, chunk.stop - chunk.start, len(gallery_ids))
        if distances.size and np.isnan(distances.min()):
            raise UserError("Distances must be numbers; a model that gives NaN has diverged. Received: NaN")
        for row, identity, camera in zip(distances, query_ids[chunk], query_cameras[chunk], strict=True):
            same = positions_of.get(identity, _NONE)
            is_junk = (gallery_cameras[same] == camera) & (camera >= 0)
            ranks = match_ranks(row, same[~is_junk], same[is_junk])
            number = np.arange(1, len(ranks) + 1)
            yield (np.mean(number / ranks), len(ranks) / ranks[-1], ranks[0]) if len(ranks) else [np.nan] * 3


_NONE = np.empty(0, np.int64)


def _by_identity(identities: np.ndarray) -> dict[int, np.ndarray]:
    """Identity -> sorted positions of its images."""
    order = np.argsort(identities, kind="stable")
    names, starts = np.unique(identities[order], return_index=True)
    return dict(zip(names.tolist(), np.split(order, starts[1:]), strict=True)) if len(order) else {}
