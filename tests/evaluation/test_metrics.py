"""Metrics against values computed by hand, and invariances."""

import tracemalloc

import numpy as np
import pytest

from keras_cdd.evaluation import evaluate_ranking, metrics, rank_embeddings, rank_metrics


def score(distances, *names, **options):
    return rank_metrics(np.asarray(distances).__getitem__, *names, **options)


@pytest.fixture
def random_search():
    """Distances without ties, identities and cameras of 13 queries and a gallery of 40."""
    rng = np.random.default_rng(0)
    distances = rng.permutation(13 * 40).reshape(13, 40).astype(np.float32)
    cameras = rng.integers(0, 3, 13), rng.integers(0, 3, 40)
    return distances, rng.integers(0, 4, 13), np.arange(40) % 4, *cameras


def literal_scores(distances, query_ids, gallery_ids, query_cameras, gallery_cameras):
    """Average precision and INP of each query, computed image by image from the definitions."""
    scores = []
    for row, identity, camera in zip(distances, query_ids, query_cameras, strict=True):
        rank, precisions, last = 0, [], None
        for image in sorted(range(len(row)), key=row.__getitem__):
            if gallery_ids[image] == identity and gallery_cameras[image] == camera:
                continue
            rank += 1
            if gallery_ids[image] == identity:
                precisions.append((len(precisions) + 1) / rank)
                last = rank
        scores.append((sum(precisions) / len(precisions), len(precisions) / last))
    return np.transpose(scores)


def test_by_hand():
    # Matches at ranks 1 and 4 of the first query, at rank 2 of the second.
    distances = [[0.1, 0.2, 0.3, 0.4, 0.5], [0.3, 0.1, 0.2, 0.4, 0.5]]
    result = score(distances, [7, 5], [7, 3, 5, 7, 3])
    np.testing.assert_allclose(result.average_precisions, [(1 / 1 + 2 / 4) / 2, 1 / 2])
    np.testing.assert_allclose(result.inverse_negative_penalties, [2 / 4, 1 / 2])
    np.testing.assert_array_equal(result.cmc, [0.5, 1, 1, 1, 1])
    assert (result.mAP, result.mINP, result.num_valid_queries) == (0.625, 0.5, 2)
    assert (result.rank1, result.rank5, result.rank10) == (0.5, 1, 1)
    assert result.as_percent() == {"mAP": 62.5, "mINP": 50, "rank1": 50, "rank5": 100, "rank10": 100}


def test_follows_the_definitions(random_search):
    result = score(*random_search)
    precisions, penalties = literal_scores(*random_search)
    np.testing.assert_allclose(result.average_precisions, precisions)
    np.testing.assert_allclose(result.inverse_negative_penalties, penalties)


def test_junk_is_as_good_as_absent():
    distances = np.array([[0.1, 0.3, 0.2, 0.4]])
    names = ["a"], np.array(["a", "a", "b", "b"]), ["x"], np.array(["x", "y", "x", "y"])
    junk = np.array([True, False, False, False])
    with_junk = score(distances, *names)
    without = score(distances[:, ~junk], names[0], names[1][~junk], names[2], names[3][~junk])
    assert with_junk.mAP == without.mAP == 0.5
    assert score(distances, *names[:2]).mAP == (1 + 2 / 3) / 2


@pytest.mark.parametrize("unknown", [None, -1])
def test_an_unknown_camera_makes_no_junk(random_search, unknown):
    distances, query_ids, gallery_ids, query_cameras, gallery_cameras = random_search
    plain = score(distances, query_ids, gallery_ids)
    all_unknown = score(distances, query_ids, gallery_ids, [unknown] * 13, [unknown] * 40)
    np.testing.assert_array_equal(all_unknown.average_precisions, plain.average_precisions)
    some = [unknown, *query_cameras[1:]]
    mixed = score(distances, query_ids, gallery_ids, some, gallery_cameras).average_precisions
    known = score(*random_search).average_precisions
    assert mixed[0] == plain.average_precisions[0] != known[0]
    np.testing.assert_array_equal(mixed[1:], known[1:])


def test_names_may_be_strings(random_search):
    distances, *names = random_search
    words = [[f"n{name}" for name in side] for side in names]
    np.testing.assert_array_equal(score(distances, *words).cmc, score(*random_search).cmc)
    assert score(distances, *words).mAP == score(*random_search).mAP


def test_a_number_is_not_its_spelling():
    assert score([[0.1, 0.2]], [1], ["1", 1]).mAP == 0.5


def test_permuting_the_gallery_changes_nothing(random_search):
    distances, query_ids, gallery_ids, query_cameras, gallery_cameras = random_search
    order = np.random.default_rng(1).permutation(40)
    names = query_ids, gallery_ids[order], query_cameras, gallery_cameras[order]
    permuted = score(distances[:, order], *names)
    np.testing.assert_array_equal(permuted.average_precisions, score(*random_search).average_precisions)
    np.testing.assert_array_equal(permuted.cmc, score(*random_search).cmc)


def test_chunks_change_nothing(random_search, monkeypatch):
    whole = score(*random_search)
    monkeypatch.setattr(metrics, "CHUNK_BYTES", 8 * 40 * 3)
    assert len(metrics.slices(13, 40)) == 5
    chunked = score(*random_search)
    np.testing.assert_array_equal(chunked.average_precisions, whole.average_precisions)
    np.testing.assert_array_equal(chunked.cmc, whole.cmc)


def test_equal_distances_keep_the_order_of_the_gallery():
    assert score([[1, 1, 1, 1]], [7], [3, 7, 3, 7]).mAP == (1 / 2 + 2 / 4) / 2
    assert score([[1, 1, 1, 0]], [7], [3, 7, 3, 7]).mAP == (1 / 1 + 2 / 3) / 2
    many = np.arange(300) % 3
    assert score(many[None] == 9, [0], many).mINP == 100 / 298


def test_perfect_embeddings_give_one():
    gallery = np.repeat(np.eye(5), 3, axis=0)
    result = rank_embeddings(3 * np.eye(5), gallery, range(5), np.repeat(range(5), 3))
    assert (result.mAP, result.mINP, result.rank1) == (1, 1, 1)


def test_embeddings_are_ranked_by_cosine():
    rng = np.random.default_rng(2)
    query, gallery = rng.normal(size=(9, 6)), rng.normal(size=(30, 6))
    names = np.arange(9) % 3, np.arange(30) % 3
    unit = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (query, gallery)]
    _, m_ap = evaluate_ranking(1 - unit[0] @ unit[1].T, *names)
    assert rank_embeddings(query, gallery, *names).mAP == pytest.approx(m_ap, abs=1e-6)


def test_queries_without_a_match_do_not_count():
    distances = [[0.1, 0.2], [0.2, 0.1], [0.1, 0.2]]
    result = score(distances, [1, 9, 2], [2, 1], ["x", "x", "x"], ["x", "y"])
    np.testing.assert_array_equal(result.average_precisions, [0.5, np.nan, np.nan])
    assert (result.num_valid_queries, result.mAP, result.rank1) == (1, 0.5, 0)


def test_rank_beyond_the_cmc():
    distances, names = [[0.3, 0.1, 0.2]], ([1], [1, 2, 3])
    assert score(distances, *names).rank(10) == 1
    with pytest.raises(ValueError, match="Rank 10 is beyond the CMC.*Received: max_rank=2"):
        score(distances, *names, max_rank=2).rank(10)


@pytest.mark.parametrize(
    ("distances", "names", "options", "message"),
    [
        ([[0.1]], ([1], [2]), {}, "No query has a match"),
        ([[0.1]], ([1], [1], ["x"], ["x"]), {}, "No query has a match"),
        (np.empty((0, 1)), ([], [1]), {}, "No query has a match"),
        (np.empty((1, 0)), ([1], []), {}, "No query has a match"),
        ([[np.nan, 0.1]], ([1], [1, 2]), {}, "NaN"),
        ([[0.1, 0.2]], ([1], [1]), {}, r"\(1, 1\). Received: shape \(1, 2\)"),
        ([[0.1], [0.2]], ([1], [1]), {}, r"\(1, 1\). Received: shape \(2, 1\)"),
        ([[0.1]], ([1], [1], ["x"], ["x", "y"]), {}, "a camera for each identity"),
        ([[0.1]], ([[1]], [1]), {}, "flat lists"),
        ([[0.1]], ([1], [1]), {"max_rank": 0}, "Received: max_rank=0"),
    ],
)
def test_errors(distances, names, options, message):
    with pytest.raises(ValueError, match=message):
        evaluate_ranking(distances, *names, **options)


def test_as_many_embeddings_as_names():
    with pytest.raises(ValueError, match="Received: 3 and 2"):
        rank_embeddings(np.eye(3), np.eye(3), [0, 1], [0, 1, 2])


def test_a_large_gallery_needs_little_memory(monkeypatch):
    """100 queries against 100,000 images: the whole matrix would be 40 MB."""
    monkeypatch.setattr(metrics, "CHUNK_BYTES", 4 << 20)
    rng = np.random.default_rng(3)
    query, gallery = rng.normal(size=(100, 4)).astype("f"), rng.normal(size=(100_000, 4)).astype("f")
    names = np.arange(100), np.arange(100_000) % 50_000
    tracemalloc.start()
    try:
        result = rank_embeddings(query, gallery, *names)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result.num_valid_queries == 100
    assert peak < 20e6
