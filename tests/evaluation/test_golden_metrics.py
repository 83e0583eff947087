"""Rankings against those of the authors' evaluation code."""

import numpy as np
import pytest

from keras_cdd.evaluation import evaluate_ranking, rank_embeddings, rerank
from keras_cdd.evaluation.metrics import rank_metrics


def who(data):
    return data["q_pids"], data["g_pids"], data["q_camids"], data["g_camids"]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_golden_ranking(golden, metric):
    data = golden("metrics.npz")
    distances = data[f"{metric}.distmat"]
    cmc, m_ap = evaluate_ranking(distances, *who(data))
    np.testing.assert_allclose(cmc, data[f"{metric}.cmc_max50"], atol=1e-6)
    assert m_ap == pytest.approx(float(data[f"{metric}.mAP_max50"]), abs=1e-9)
    metrics = rank_metrics(lambda rows: distances[rows], *who(data))
    valid = data[f"{metric}.valid_query"]
    np.testing.assert_array_equal(np.isfinite(metrics.average_precisions), valid)
    np.testing.assert_allclose(metrics.average_precisions[valid], data[f"{metric}.ap_per_query"][valid], atol=1e-9)
    assert metrics.num_valid_queries == valid.sum()
    for query in np.flatnonzero(valid):
        one = [side[query : query + 1] if name == "q" else side for name, side in zip("qgqg", who(data), strict=True)]
        cmc, _ = evaluate_ranking(distances[query : query + 1], *one)
        np.testing.assert_array_equal(cmc, data[f"{metric}.cmc_per_query"][query])


def test_golden_short_cmc(golden):
    data = golden("metrics.npz")
    cmc, _ = evaluate_ranking(data["cosine.distmat"], *who(data), max_rank=10)
    np.testing.assert_allclose(cmc, data["cosine.cmc_max10"], atol=1e-6)


def test_golden_small_gallery(golden):
    data = golden("metrics.npz")
    rows, columns = data["small.q_rows"], data["small.g_cols"]
    cmc, m_ap = evaluate_ranking(data["small.distmat"], data["q_pids"][rows], data["g_pids"][columns])
    assert len(cmc) == data["small.cmc_len"]
    np.testing.assert_allclose(cmc, data["small.cmc_max50"], atol=1e-6)
    assert m_ap == pytest.approx(float(data["small.mAP_max50"]), abs=1e-9)


def test_golden_embeddings(golden):
    """The whole way from embeddings; the cosine's order does not depend on the arccos that the reference takes."""
    data = golden("metrics.npz")
    metrics = rank_embeddings(data["qf"], data["gf"], *who(data))
    assert metrics.m_ap == pytest.approx(float(data["R1_mAP_eval.cosine.mAP"]), abs=1e-6)
    np.testing.assert_allclose(metrics.cmc, data["R1_mAP_eval.cosine.cmc"], atol=1e-6)


@pytest.mark.parametrize("name", ["l2norm_k20_6", "rawfeat_k20_6", "rawfeat_k60_10"])
def test_golden_reranking(golden, name):
    data = golden("metrics.npz")
    k1, k2 = (int(k.strip("k")) for k in name.split("_")[1:])
    distances = rerank(data["qf"], data["gf"], k1, k2, 0.3, normalize=name.startswith("l2norm"))
    # The reference expands queries in float16.
    np.testing.assert_allclose(distances, data[f"rerank_{name}_l0.3.distmat"], atol=2e-3)
    cmc, m_ap = evaluate_ranking(data[f"rerank_{name}_l0.3.distmat"], *who(data))
    assert m_ap == pytest.approx(float(data[f"rerank_{name}_l0.3.mAP_max50"]), abs=1e-9)
    np.testing.assert_allclose(cmc, data[f"rerank_{name}_l0.3.cmc_max50"], atol=1e-6)


def test_golden_omniglot_embeddings(golden):
    data = golden("omniglot_300_embeddings.npz")
    queries = int(data["num_query"])
    sides = [slice(None, queries), slice(queries, None)]
    parts = [data[key][side] for key in ("embeddings", "identities", "cameras") for side in sides]
    percent = rank_embeddings(*parts).as_percent()
    for ours, key in (("mAP", "mAP"), ("rank1", "rank1"), ("rank5", "rank5")):
        assert percent[ours] == pytest.approx(float(data[key]), abs=0.01)
