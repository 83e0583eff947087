"""Surgery and fusion against the authors' code."""

import keras
import numpy as np
import pytest

from keras_cdd.layers import GatedBottleneck
from keras_cdd.models import BACKBONES, gated_resnet, load_pretrained
from keras_cdd.surgery import fuse, plan_surgery, rebuild
from tests.golden_weights import hwio, nhwc, set_block_weights


def one_block(planes, size, channels):
    image = keras.Input((*size, channels))
    return keras.Model(image, GatedBottleneck(planes, name="stage1_block1")(image))


def test_golden_kept_channels(golden):
    data = golden("prune.npz")
    for case, kept in enumerate(data["prune_channel"]):
        kernel, after = hwio(data[f"k{case}.compactor"]), hwio(data[f"k{case}.conv3"])
        model = one_block(kernel.shape[-1], (3, 3), 4 * kernel.shape[-1])
        block = model.layers[1]
        block.inner[1].indicator.kernel.assign(kernel)
        block.last.conv.kernel.assign(after)
        plan = plan_surgery(model, importance_threshold=float(data["thresh"]))
        cut = plan.cuts["stage1_block1/conv2"]
        assert len(cut.outputs) == kept
        np.testing.assert_array_equal(cut.outputs, data[f"k{case}.kept_idx"])
        slim = rebuild(model, plan).layers[1]
        expected = hwio(data[f"k{case}.pruned_compactor"])[:, :, cut.inputs]
        np.testing.assert_array_equal(slim.inner[1].indicator.kernel, expected)
        np.testing.assert_array_equal(slim.last.conv.kernel, hwio(data[f"k{case}.pruned_conv3"]))


def test_golden_ties_keep_what_the_reference_keeps(golden):
    data = golden("prune.npz")
    kernel = hwio(data["tie.compactor"])
    model = one_block(kernel.shape[-1], (3, 3), 4)
    model.layers[1].inner[1].indicator.kernel.assign(kernel)
    plan = plan_surgery(model, importance_threshold=float(data["thresh"]))
    assert plan.kept_filters["stage1_block1/conv2"] == int(data["tie.n_kept"][0])


def test_an_all_zero_kernel_keeps_one_channel_where_the_reference_keeps_all():
    model = one_block(6, (3, 3), 4)
    model.layers[1].inner[1].indicator.kernel.assign(np.zeros((1, 1, 6, 6)))
    assert plan_surgery(model, importance_threshold=1e-5).kept_filters["stage1_block1/conv2"] == 1


def test_golden_cut_block(golden):
    data = golden("prune.npz")
    _, planes, _, kept = (int(v) for v in data["block.meta_in_planes_stride_kept"])
    x = nhwc(data["block.x"])
    image = keras.Input(x.shape[1:])
    stride = int(data["block.meta_in_planes_stride_kept"][2])
    model = keras.Model(image, GatedBottleneck(planes, stride, name="stage1_block1")(image))
    set_block_weights(model.layers[1], data, "block.full.w.")
    slim = rebuild(model, plan_surgery(model))
    assert slim.layers[1].kept_filters == [kept]
    close = {"rtol": 2e-5, "atol": 2e-5}
    np.testing.assert_allclose(model(x), nhwc(data["block.full.out"]), **close)
    np.testing.assert_allclose(slim(x), nhwc(data["block.pruned.out"]), **close)
    np.testing.assert_allclose(fuse(slim)(x), nhwc(data["block.pruned_deploy.out"]), **close)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet_prune_public.npz", "resnet_prune_heldout.npz"])
def test_golden_cut_network(golden, name, monkeypatch):
    data = golden(name)
    # One block a stage, the reference's ResNet(num_blocks=[1, 1, 1, 1]).
    monkeypatch.setitem(BACKBONES, "tiny", (GatedBottleneck, (1, 1, 1, 1)))
    x = nhwc(data["x"])
    # The reference's input is normalised already.
    model = gated_resnet(
        "tiny",
        image_size=x.shape[1:3],
        indicators="conv2",
        last_stride=int(data["meta_last_stride"]),
        rescaling=(1.0, 0.0),
    )
    load_pretrained(model, {key.removeprefix("w."): value for key, value in data.items() if key.startswith("w.")})
    last = [f"stage{stage}_block1" for stage in (1, 2, 3, 4)]

    def stages(network, names):
        return keras.Model(network.input, [network.get_layer(n).output for n in names])(x)

    def check(outputs, expected):
        # Sums over up to 4,608 products in float32.
        scale = np.abs(expected).max()
        np.testing.assert_allclose(outputs / scale, nhwc(expected) / scale, atol=2e-5)

    *inner, outputs = stages(model, last)
    check(outputs, data["full.out"])
    for ours, key in zip(inner, ("full.f1", "full.f2", "full.f3"), strict=True):
        check(ours, data[key])
    plan = plan_surgery(model, importance_threshold=1e-5)
    for index, site in enumerate(plan.cuts):
        np.testing.assert_array_equal(plan.cuts[site].outputs, data[f"kept_idx{index}"])
    assert list(plan.kept_filters.values()) == data["prune_channel"].tolist()
    slim = rebuild(model, plan)
    check(stages(slim, last)[-1], data["pruned.out"])
    fused_names = [f"{block}_relu" for block in last]
    deploy, full_deploy = fuse(slim), fuse(model)
    check(stages(deploy, fused_names)[-1], data["pruned_deploy.out"])
    check(stages(full_deploy, fused_names)[-1], data["full_deploy.out"])
    kernel, bias = deploy.get_layer("stage1_block1_conv2").get_weights()
    np.testing.assert_allclose(kernel, hwio(data["deploy.stage1.0.reparam.weight"]), rtol=1e-5, atol=1e-5)
    for stage in (1, 2, 3, 4):
        bias = deploy.get_layer(f"stage{stage}_block1_conv2").get_weights()[1]
        np.testing.assert_allclose(bias, data[f"deploy.stage{stage}.0.reparam.bias"], rtol=1e-5, atol=1e-5)
