"""Surgery on the outer widths of gated blocks: a residual stream loses channels in all blocks at once."""

import keras
import numpy as np
import pytest

from keras_cdd.layers import GatedBasicBlock, GatedBlock
from keras_cdd.models import cost_model, count_macs, count_params, gated_resnet
from keras_cdd.models.sites import sites
from keras_cdd.surgery import fuse, plan_surgery, rebuild, silence
from keras_cdd.surgery.plan import make_plan
from tests.models.networks import images_for
from tests.models.sites.small import gated, gated_bottlenecks, gated_diagonal, gated_stream
from tests.surgery.chain import OPTIMIZERS, check, in_turn
from tests.surgery.stock import alive, flat_outputs

L = keras.layers
BUILDS = [gated, gated_diagonal, gated_stream, gated_bottlenecks]


def plan_of(model, kept):
    """A plan for some sites, from site -> positions that stay."""
    found = sites(model, residual=True)
    importance = {name: np.ones(found[name].channels) for name in kept}
    return make_plan(cost_model(model, sites=found.only(kept)), {}, kept, importance, residual=True)


def silence_by_hand(model, plan):
    found = sites(model, residual=True)
    for name, cut in plan.cuts.items():
        gone = np.setdiff1d(np.arange(cut.channels), cut.outputs)
        for slot in found[name].effects:
            weight = found.variables[slot.path]
            array = weight.numpy()
            np.moveaxis(array, slot.axis, 0)[slot.positions[gone].ravel()] = 0
            weight.assign(array)


def projected():
    """The second block has a projection, which its widths do not tell after the cut below; the third has none."""
    image = keras.Input((8, 8, 3))
    x = GatedBasicBlock(4, indicators="none", name="a")(image)
    x = GatedBasicBlock(6, name="c")(GatedBasicBlock(6, name="b")(x))
    return keras.Model(image, L.Dense(2, name="top")(L.GlobalAveragePooling2D()(x)))


def test_a_shortcut_stays_what_it_was():
    model = alive(projected())
    plan = plan_of(model, {"a/conv2": np.array([0, 1, 3]), "b/conv2": np.array([1, 2, 5])})
    silence_by_hand(model, plan)
    slim = rebuild(model, plan)
    images = images_for(model)
    np.testing.assert_allclose(flat_outputs(slim, images), flat_outputs(model, images), atol=1e-5)
    assert [slim.get_layer(name).outer_filters for name in "abc"] == [3, 3, 3]
    assert [slim.get_layer(name).shortcut is None for name in "abc"] == [False, False, True]
    # A site that the plan does not name stays whole.
    assert slim.get_layer("b").kept_filters == [6]
    assert (count_macs(slim), count_params(slim)) == (plan.macs[1], plan.params[1])
    again = keras.Model.from_config(slim.get_config())
    assert [weight.shape for weight in again.weights] == [weight.shape for weight in slim.weights]


@pytest.mark.parametrize("build, name", in_turn(BUILDS))
def test_streams_and_indicators_are_cut_together(build, name, tmp_path):
    keras.utils.set_random_seed(0)
    slim = check(alive(build()), True, OPTIMIZERS[name](), tmp_path, training=True)
    blocks = [layer for layer in slim.layers if isinstance(layer, GatedBlock)]
    assert any(block.outer_filters < block.full_outer_filters for block in blocks)
    deploy = fuse(slim)
    images = images_for(slim)
    np.testing.assert_allclose(flat_outputs(deploy, images), flat_outputs(slim, images), rtol=1e-4, atol=1e-4)
    assert all(type(layer).__module__.startswith("keras.") for layer in deploy.layers)
    assert (count_macs(deploy), count_params(deploy)) == (count_macs(slim), count_params(slim))


@pytest.mark.parametrize(
    "backbone, last", [("resnet18", "conv2"), pytest.param("resnet50", "conv3", marks=pytest.mark.slow)]
)
def test_of_a_retrieval_model_features_become_fewer_and_the_embedding_stays(backbone, last):
    """The stem's and the last stage's widths leave, too."""
    keras.utils.set_random_seed(0)
    model = alive(gated_resnet(backbone, 4, (16, 16), num_classes=3, embedding_size=8, stem="small"))
    plan = plan_surgery(model, target_macs=0.5, residual=True)
    silence(model, plan)
    slim = rebuild(model, plan)
    images = images_for(model)
    expected, outputs = model(images), slim(images)
    for name in ("embedding", "logits"):
        size = np.abs(expected[name]).max()
        np.testing.assert_allclose(outputs[name], expected[name], rtol=1e-4, atol=1e-4 * size)
    features, stays = expected["features"].numpy(), plan.cuts[f"stage4_block1/{last}"].outputs
    np.testing.assert_allclose(outputs["features"], features[:, stays], rtol=1e-4, atol=1e-4 * np.abs(features).max())
    assert len(stays) < features.shape[1]
    assert (count_macs(slim), count_params(slim)) == (plan.macs[1], plan.params[1])
