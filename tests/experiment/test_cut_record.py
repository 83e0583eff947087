"""The record of the importances at a cut."""

import dataclasses

import numpy as np
import pytest

from keras_cdd.experiment.cut_record import BINS, cut_record
from keras_cdd.models import cost_model, gated_resnet
from keras_cdd.models.gated_units import indicator_kernels
from keras_cdd.surgery import plan_surgery


@pytest.fixture(scope="module")
def student():
    return gated_resnet("resnet18", width=4, image_size=(16, 16), embedding_size=8, indicators="both", stem="small")


def record_of(student, importance, measure, **aim):
    plan = plan_surgery(student, importance=importance, **aim)
    return plan, cut_record(plan, importance, cost_model(student), measure)


@pytest.mark.parametrize("measure", ["macs", "params"])
def test_a_budget_cuts_at_the_line(student, measure):
    rng = np.random.default_rng(0)
    importance = {site: rng.lognormal(size=k.shape[1]) for site, k in indicator_kernels(student).items()}
    plan, record = record_of(student, importance, measure, **{f"target_{measure}": 0.5})
    assert sum(record["kept"]) == sum(plan.kept_filters.values())
    assert sum(record["removed"]) == sum(cut.removed for cut in plan.cuts.values())
    edges = np.linspace(*record["log10_range"], BINS + 1)
    above = edges[:-1] > np.log10(record["line"])
    below = edges[1:] < np.log10(record["line"])
    # A channel's cost falls as other channels are removed, so a few are on the wrong side of the line.
    wrong = np.array(record["removed"])[above].sum() + np.array(record["kept"])[below].sum()
    assert wrong < 0.1 * sum(record["removed"])


def test_a_threshold_is_the_line(student):
    rng = np.random.default_rng(1)
    importance = {site: rng.uniform(0.1, 1.0, k.shape[1]) for site, k in indicator_kernels(student).items()}
    _, record = record_of(student, importance, "norm", importance_threshold=0.5)
    assert record["line"] == pytest.approx(0.5, abs=0.02)
    assert record["log10_range"] == [-1.0, 0.0]


def test_channels_that_were_gone_before_do_not_count(student):
    importance = {site: np.zeros(k.shape[1]) for site, k in indicator_kernels(student).items()}
    plan = plan_surgery(student)
    assert cut_record(plan, importance, cost_model(student), "norm") is None
    importance = {site: np.where(np.arange(len(values)) > 0, 2.0, 0.0) for site, values in importance.items()}
    record = cut_record(plan, importance, cost_model(student), "norm")
    assert sum(record["kept"]) == sum(len(values) - 1 for values in importance.values()) and not sum(record["removed"])


def test_sites_that_cost_nothing_are_not_in_a_ranking_by_cost(student):
    importance = {site: np.ones(k.shape[1]) for site, k in indicator_kernels(student).items()}
    costs, free = cost_model(student), next(iter(importance))
    left = tuple(term for term in costs.macs_terms if free not in term.sites)
    record = cut_record(plan_surgery(student), importance, dataclasses.replace(costs, macs_terms=left), "macs")
    assert sum(record["kept"]) == sum(costs.widths.values()) - costs.widths[free]
    assert cut_record(plan_surgery(student), importance, dataclasses.replace(costs, macs_terms=()), "macs") is None
