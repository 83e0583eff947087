"""Rankings against those of the authors' evaluation code."""

import numpy as np
import pytest

from keras_cdd.evaluation import evaluate_ranking, rank_embeddings, rank_metrics, rerank

RERANKED = ["rerank_l2norm_k20_6_l0.3", "rerank_rawfeat_k20_6_l0.3", "rerank_rawfeat_k60_10_l0.3"]


def who(data):
    return data["q_pids"], data["g_pids"], data["q_camids"], data["g_camids"]


def parameters(name):
    """`k1, k2, weight, normalize` from the name of a stored re-ranking."""
    _, features, k1, k2, weight = name.split("_")
    return int(k1[1:]), int(k2), float(weight[1:]), features == "l2norm"


@pytest.mark.parametrize("name", ["cosine", "euclidean", *RERANKED])
def test_golden_ranking(golden, name):
    """CMC to float32 precision, average precisions to that of float64; per query and on the whole."""
    data = golden("metrics.npz")
    distances, valid = data[f"{name}.distmat"], data[f"{name}.valid_query"]
    cmc, m_ap = evaluate_ranking(distances, *who(data))
    np.testing.assert_allclose(cmc, data[f"{name}.cmc_max50"], atol=1e-6)
    assert m_ap == pytest.approx(float(data[f"{name}.mAP_max50"]), abs=1e-9)
    metrics = rank_metrics(distances.__getitem__, *who(data))
    assert metrics.num_valid_queries == valid.sum()
    np.testing.assert_array_equal(np.isfinite(metrics.average_precisions), valid)
    np.testing.assert_allclose(metrics.average_precisions, data[f"{name}.ap_per_query"], atol=1e-9)
    for query in np.flatnonzero(valid):
        q_id, g_id, q_camera, g_camera = who(data)
        one = slice(query, query + 1)
        cmc, _ = evaluate_ranking(distances[one], q_id[one], g_id, q_camera[one], g_camera)
        np.testing.assert_array_equal(cmc, data[f"{name}.cmc_per_query"][query])


def test_golden_short_cmc(golden):
    data = golden("metrics.npz")
    cmc, _ = evaluate_ranking(data["cosine.distmat"], *who(data), max_rank=10)
    np.testing.assert_allclose(cmc, data["cosine.cmc_max10"], atol=1e-6)


def test_golden_small_gallery(golden):
    data = golden("metrics.npz")
    rows, columns = data["small.q_rows"], data["small.g_cols"]
    names = data["q_pids"][rows], data["g_pids"][columns], data["small.q_camids"], data["g_camids"][columns]
    cmc, m_ap = evaluate_ranking(data["small.distmat"], *names)
    assert len(cmc) == data["small.cmc_len"]
    np.testing.assert_allclose(cmc, data["small.cmc_max50"], atol=1e-6)
    assert m_ap == pytest.approx(float(data["small.mAP_max50"]), abs=1e-9)


def test_golden_small_gallery_with_junk_works(golden):
    """The authors' code raises here; a match beyond the gallery's end is all the CMC needs to end at 1."""
    data = golden("metrics.npz")
    assert data["small_gallery_with_removal_raises"]
    few = slice(None, 30)
    q_id, g_id, q_camera, g_camera = who(data)
    names = q_id, g_id[few], q_camera, g_camera[few]
    with_junk = evaluate_ranking(data["cosine.distmat"][:, few], *names)
    assert len(with_junk[0]) == 30 and with_junk[0][-1] == 1
    assert with_junk[1] != evaluate_ranking(data["cosine.distmat"][:, few], *names[:2])[1]


def test_golden_evaluator_cosine(golden):
    """From embeddings; the reference takes the arccos, which keeps the order."""
    data = golden("metrics.npz")
    metrics = rank_embeddings(data["qf"], data["gf"], *who(data))
    assert metrics.mAP == pytest.approx(float(data["R1_mAP_eval.cosine.mAP"]), abs=1e-6)
    np.testing.assert_allclose(metrics.cmc, data["R1_mAP_eval.cosine.cmc"], atol=1e-6)


def test_golden_evaluator_euclidean(golden):
    data = golden("metrics.npz")
    distances = np.sum((data["qf"][:, None] - data["gf"][None]) ** 2, axis=2)
    cmc, m_ap = evaluate_ranking(distances, *who(data))
    assert m_ap == pytest.approx(float(data["R1_mAP_eval.euclidean.mAP"]), abs=1e-6)
    np.testing.assert_allclose(cmc, data["R1_mAP_eval.euclidean.cmc"], atol=1e-6)


def test_golden_evaluator_reranked(golden):
    """The reference's float16 may swap neighbours: mAP within 2e-3."""
    data = golden("metrics.npz")
    cmc, m_ap = evaluate_ranking(rerank(data["qf"], data["gf"], 60, 10, 0.3, normalize=False), *who(data))
    assert m_ap == pytest.approx(float(data["R1_mAP_eval.cosine_rerank60_10_0.3.mAP"]), abs=2e-3)
    np.testing.assert_allclose(cmc, data["R1_mAP_eval.cosine_rerank60_10_0.3.cmc"], atol=1e-6)


@pytest.mark.parametrize("name", RERANKED)
def test_golden_reranked_distances(golden, name):
    """The reference expands queries in float16, whose precision is 1e-3."""
    data = golden("metrics.npz")
    distances = rerank(data["qf"], data["gf"], *parameters(name))
    np.testing.assert_allclose(distances, data[f"{name}.distmat"], atol=1e-3)


def test_golden_omniglot_embeddings(golden):
    data = golden("omniglot_300_embeddings.npz")
    queries = int(data["num_query"])
    sides = [slice(None, queries), slice(queries, None)]
    parts = [data[key][side] for key in ("embeddings", "identities", "cameras") for side in sides]
    percent = rank_embeddings(*parts).as_percent()
    for key in ("mAP", "rank1", "rank5"):
        assert percent[key] == pytest.approx(float(data[key]), abs=0.01)
