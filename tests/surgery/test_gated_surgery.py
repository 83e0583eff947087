"""Surgery on stock models with indicators is as exact as on all others; what is left folds into stock layers."""

import keras
import numpy as np
import pytest

import keras_cdd
from keras_cdd.models import count_macs, count_params
from keras_cdd.models.sites import sites
from keras_cdd.surgery import fuse, plan_surgery, rebuild, silence
from tests.models.networks import images_for
from tests.models.sites.small import flattened, residual, separable
from tests.models.test_gate_sites import CASES, assert_stock, network, trained
from tests.surgery.chain import OPTIMIZERS, assert_same, step
from tests.surgery.stock import flat_outputs

CUT = [(build, kind) for build, kind in CASES if not build.__name__.startswith("gated")]


def check(heavy, couple, optimizer, tmp_path, training, target):
    """Trains, cuts, trains, saves, cuts and folds a model with indicators, and checks every step."""
    optimizer.build(heavy.trainable_variables)
    step(heavy, optimizer, 1, training)
    images = images_for(heavy, 2)
    found = sites(heavy, residual=couple)
    plan = plan_surgery(heavy, target_macs=target, residual=couple)
    assert target - 0.25 < plan.macs[1] / plan.full_macs <= target
    silence(heavy, plan, optimizer)
    assert plan_surgery(heavy, residual=couple).kept_filters == plan.kept_filters
    silenced = flat_outputs(heavy, images)
    size = max(1, np.abs(silenced).max())
    slim, slim_optimizer = rebuild(heavy, plan, optimizer=optimizer)
    np.testing.assert_allclose(flat_outputs(slim, images), silenced, atol=1e-5 * size)
    assert count_macs(slim) == plan.macs[1] and count_params(slim) == plan.params[1]
    step(heavy, optimizer, 2, training)
    step(slim, slim_optimizer, 2, training)
    restricted, restricted_optimizer = rebuild(heavy, plan, optimizer=optimizer)
    assert_same(slim.weights, restricted.weights)
    assert_same(slim_optimizer.variables, restricted_optimizer.variables)
    slim.save(tmp_path / "slim.keras")
    loaded = keras.saving.load_model(tmp_path / "slim.keras")
    np.testing.assert_array_equal(flat_outputs(loaded, images), flat_outputs(slim, images))
    remembered(loaded, couple, found, plan)
    again = plan_surgery(loaded, target_macs=0.8 * target, residual=couple)
    twice = rebuild(loaded, again)
    assert count_macs(twice) == again.macs[1] <= 0.8 * target * again.full_macs
    deploy, expected = fuse(twice), flat_outputs(twice, images)
    assert_stock(deploy)
    np.testing.assert_allclose(flat_outputs(deploy, images), expected, atol=1e-4 * max(1, np.abs(expected).max()))


def remembered(slim, couple, found, plan):
    """Whether indicators know their uncut width and the original indices of their channels."""
    for name, site in sites(slim, residual=couple).items():
        layer = sites(slim, residual=couple).indicator(name)
        if layer is not None:
            assert site.full_channels == layer.full_channels == found[name].channels
            assert layer.output_channels == plan.cuts[name].outputs.tolist()


@pytest.mark.parametrize("build, kind", CUT, ids=[f"{build.__name__}-{kind}" for build, kind in CUT])
def test_small_networks(build, kind, tmp_path):
    couple = build is residual
    heavy = trained(keras_cdd.gate_model(network(build), indicator=kind, residual=couple))
    # Dropout is random; that network trains as in inference. What reads the image stays in part.
    target = 0.7 if build is separable else 0.5
    check(heavy, couple, OPTIMIZERS["sgd"](), tmp_path, build is not flattened, target)
