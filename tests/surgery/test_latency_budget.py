"""A budget in milliseconds, with made-up times of layers: it is met, by what is slow, or refused."""

import keras
import numpy as np
import pytest

from keras_cdd.models.sites import cut_sites
from keras_cdd.surgery import rebuild
from keras_cdd.surgery.budget import share_of_ms
from keras_cdd.surgery.channels import Channels
from keras_cdd.surgery.plan_surgery import plan_for

L = keras.layers


def network():
    """Two convolutions of the same MACs, whose outputs are added, a depthwise one and a dense layer."""
    image = keras.Input((8, 8, 3))
    x = L.Conv2D(16, 3, padding="same", activation="relu", name="one")(image)
    y = L.Conv2D(16, 3, padding="same", activation="relu", name="other")(image)
    y = L.DepthwiseConv2D(3, padding="same", name="depthwise")(y)
    x, y = (L.Conv2D(8, 1, name=f"after_{name}")(z) for name, z in (("one", x), ("other", y)))
    return keras.Model(image, L.Dense(4, name="top")(L.GlobalAveragePooling2D()(L.Add()([x, y]))))


def times(layers):
    """Depthwise channels are slow; 32 MACs take a microsecond elsewhere, and every layer 50 more."""

    def ms(shape, inputs, outputs):
        if shape.is_depthwise:
            return 0.05 + 0.2 * outputs
        return 0.05 + np.prod((*shape.kernel, *shape.size)) * inputs * outputs / 32e3

    return [float(ms(*layer)) for layer in layers]


def channels(model, measure=times):
    return Channels(model, cut_sites(model), measure)


def expected_ms(one, other):
    kernels = 64 * 9 * 3 * (one + other) + 64 * 8 * (one + other) + 8 * 4
    return 6 * 0.05 + 0.2 * other + kernels / 32e3


def test_the_time_of_a_network_is_the_sum_of_its_layers():
    costs = channels(network()).costs
    assert costs.full_widths == {"one": 16, "other": 16}
    for one, other in ((16, 16), (3, 16), (7, 1)):
        assert costs.total("ms", {"one": one, "other": other}) == pytest.approx(expected_ms(one, other))


def test_a_plan_meets_the_milliseconds_and_cuts_what_is_slow():
    model = network()
    found, importance = channels(model), {name: 1.0 + np.arange(16) for name in ("one", "other")}
    by_macs = plan_for(found, ("macs", 0.7), importance=importance).kept_filters
    assert by_macs["one"] - by_macs["other"] < 3
    for target in (3.0, 1.5):
        plan = plan_for(found, ("ms", share_of_ms(found.costs, target)), importance=importance)
        kept = plan.kept_filters
        assert kept["one"] - kept["other"] > 5
        assert target - 0.1 < expected_ms(**kept) <= target + 1e-9
        # The rebuilt network has the same times: a later cut plans on.
        slim = rebuild(model, plan)
        again = Channels(slim, cut_sites(slim).with_full_widths({"one": 16, "other": 16}), times)
        assert again.costs.total("ms") == pytest.approx(expected_ms(**kept))


def test_a_time_never_shrinks_with_more_channels():
    rng = np.random.default_rng(0)
    costs = channels(network(), lambda layers: rng.uniform(0.1, 1.0, len(layers)).tolist()).costs
    for site in costs.widths:
        assert costs.of_one_channel(site, "ms") >= 0


def test_budgets_out_of_reach_name_the_floor_in_milliseconds():
    costs = channels(network()).costs
    with pytest.raises(ValueError, match=r"takes 5\.\d+ ms; nothing is to cut.*target_ms=6"):
        share_of_ms(costs, 6.0)
    floor, full = expected_ms(1, 1), expected_ms(16, 16)
    with pytest.raises(ValueError, match=f"costs {floor:.4g} of the heavy student's {full:.4g} ms.*target_ms=0.2"):
        plan_for(channels(network()), ("ms", share_of_ms(costs, 0.2)))


def test_layers_that_cannot_be_timed_are_named():
    image = keras.Input((8, 8, 3))
    x = L.Conv2DTranspose(4, 2, strides=2, name="up")(L.Conv2D(8, 3, name="down")(image))
    model = keras.Model(image, L.GlobalAveragePooling2D()(x))
    assert channels(model, None).costs.macs() > 0
    with pytest.raises(ValueError, match=r"budget of MACs. Received: up \(Conv2DTranspose\)"):
        channels(model).costs  # noqa: B018
