"""Re-ranking against the paper's definitions, written out with sets."""

import numpy as np
import pytest

from keras_cdd.evaluation import metrics, rank_embeddings, rank_metrics, rerank, reranked_distances
from keras_cdd.evaluation.rerank import _smallest


def literal_rerank(query, gallery, k1, k2, weight):
    """Equations 2 to 12 of Zhong et al. (CVPR 2017), one image and one set at a time, on unit-length rows."""
    x = np.concatenate([query, gallery])
    count, queries = len(x), len(query)
    distances = 2 - 2 * x @ x.T
    ranking = np.argsort(distances, axis=1, kind="stable")
    distances = distances / distances.max(axis=1, keepdims=True)

    def reciprocal(p, k):
        return {g for g in ranking[p, : k + 1] if p in ranking[g, : k + 1]}

    vectors = np.zeros((count, count))
    for p in range(count):
        own = reciprocal(p, k1)
        expanded = set(own)
        for q in own:
            half = reciprocal(q, round(k1 / 2))
            if len(half & own) > 2 / 3 * len(half):
                expanded |= half
        for g in expanded:
            vectors[p, g] = np.exp(-distances[p, g])
    vectors /= vectors.sum(axis=1, keepdims=True)
    vectors = np.array([vectors[ranking[p, :k2]].mean(axis=0) for p in range(count)])
    result = np.empty((queries, count - queries))
    for p in range(queries):
        for g in range(queries, count):
            pair = vectors[[p, g]]
            jaccard = 1 - pair.min(axis=0).sum() / pair.max(axis=0).sum()
            result[p, g - queries] = (1 - weight) * jaccard + weight * distances[p, g]
    return result


@pytest.fixture
def clusters():
    """Unit-length embeddings of 8 queries and 40 gallery images around 8 centres, with their identities."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(8, 5))
    sides = [np.repeat(centres, n, axis=0) + 0.7 * rng.normal(size=(8 * n, 5)) for n in (1, 5)]
    return *(metrics.unit_length(side) for side in sides), np.arange(8), np.repeat(np.arange(8), 5)


@pytest.mark.parametrize(("k1", "k2", "weight"), [(8, 3, 0.3), (5, 1, 0.0), (1, 2, 0.7), (6, 9, 1.0)])
def test_follows_the_paper(clusters, k1, k2, weight):
    query, gallery = clusters[:2]
    expected = literal_rerank(query.astype("d"), gallery.astype("d"), k1, k2, weight)
    np.testing.assert_allclose(rerank(query, gallery, k1, k2, weight), expected, atol=1e-5)


def test_ranks_clusters_better(clusters):
    query, gallery, *names = clusters
    plain = rank_embeddings(query, gallery, *names)
    assert rank_metrics(reranked_distances(query, gallery, 6, 3), *names).mAP > plain.mAP + 0.02


def test_chunks_change_nothing(clusters, monkeypatch):
    whole = rerank(*clusters[:2], 8, 3)
    monkeypatch.setattr(metrics, "CHUNK_BYTES", 1500)
    assert len(metrics.slices(8, 40)) == 2
    np.testing.assert_allclose(rerank(*clusters[:2], 8, 3), whole, atol=1e-6)


def test_length_does_not_matter(clusters):
    query, gallery = clusters[:2]
    np.testing.assert_allclose(rerank(5 * query, 0.1 * gallery), rerank(query, gallery), atol=1e-5)


@pytest.mark.parametrize("images", [1, 2, 30])
def test_identical_images(images):
    """Equal distances leave the last images out of all neighbourhoods; few images are fewer than k1."""
    same = np.ones((images, 4), np.float32)
    distances = rerank(same[:1], same)
    assert distances.shape == (1, images)
    assert np.isfinite(distances).all()


@pytest.mark.parametrize("options", [{"k1": 0}, {"k2": 0}, {"weight": 1.5}])
def test_errors(clusters, options):
    name, value = next(iter(options.items()))
    with pytest.raises(ValueError, match=f"Received: .*{name}={value}"):
        rerank(*clusters[:2], **options)


@pytest.mark.parametrize("columns", [20, 127, 128, 1000, 1003])
@pytest.mark.parametrize("levels", [4, 10**6])
def test_the_smallest_are_those_of_a_stable_sort(columns, levels):
    distances = np.random.default_rng(columns).integers(0, levels, (30, columns)).astype("float32")
    for count in (1, 7, 20):
        expected = np.argsort(distances, axis=1, kind="stable")[:, :count]
        np.testing.assert_array_equal(_smallest(distances, count), expected)
