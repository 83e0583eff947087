"""Backbones of keras-hub, whose blocks are composite layers: opened, cut and folded like all others."""

import keras
import pytest

import keras_cdd
from keras_cdd.models import cost_model
from tests.models.networks import images_for
from tests.models.profiler import profiled_macs
from tests.surgery.chain import all_the_way
from tests.surgery.stock import alive

pytestmark = pytest.mark.slow
SHAPE = (32, 32, 3)


@pytest.fixture(scope="module")
def hub():
    """Imported here, since that takes seconds."""
    return pytest.importorskip("keras_hub", reason="keras-hub is not installed").models


def resnet(hub):
    return hub.ResNetBackbone([64], [7], [64, 64], [2, 1], [1, 2], "basic_block", image_shape=SHAPE)


def mobilenet(hub):
    """Blocks with and without squeeze-excitation, expansion and a sum."""
    return hub.MobileNetBackbone(
        stackwise_expansion=[[40, 64]],
        stackwise_num_blocks=[2],
        stackwise_num_filters=[[16, 16]],
        stackwise_kernel_size=[[3, 5]],
        stackwise_num_strides=[[2, 1]],
        stackwise_se_ratio=[[None, 0.25]],
        stackwise_activation=[["relu", "hard_swish"]],
        stackwise_padding=[[1, 2]],
        input_num_filters=16,
        output_num_filters=64,
        depthwise_filters=8,
        depthwise_stride=2,
        depthwise_residual=False,
        squeeze_and_excite=0.5,
        last_layer_filter=64,
        input_activation="hard_swish",
        output_activation="hard_swish",
        image_shape=SHAPE,
    )


def efficientnet(hub):
    """Fused and other blocks, without and with expansion and squeeze-excitation."""
    return hub.EfficientNetBackbone(
        stackwise_kernel_sizes=[3, 3, 3, 3],
        stackwise_num_repeats=[1, 1, 1, 2],
        stackwise_input_filters=[16, 16, 24, 16],
        stackwise_output_filters=[16, 24, 16, 32],
        stackwise_expansion_ratios=[1, 4, 1, 4],
        stackwise_squeeze_and_excite_ratios=[0, 0, 0.25, 0.25],
        stackwise_strides=[1, 2, 1, 2],
        stackwise_block_types=["fused", "fused", "unfused", "unfused"],
        stackwise_force_input_filters=[0] * 4,
        stackwise_nores_option=[False] * 4,
        width_coefficient=1.0,
        depth_coefficient=1.0,
        input_shape=SHAPE,
        num_features=64,
        dropout=0.0,
    )


def classifier(build, hub):
    """A backbone with a head, in float64, since networks with random weights enlarge rounding errors."""
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy("float64")
    try:
        backbone = build(hub)
        x = keras.layers.GlobalAveragePooling2D()(backbone.output)
        return alive(keras.Model(backbone.input, keras.layers.Dense(3, name="top")(x)))
    finally:
        keras.config.set_dtype_policy("float32")


# With the additions or not, and the share of the MACs that one channel a site leaves at most.
CASES = {resnet: (True, 0.01), mobilenet: (False, 0.05), efficientnet: (True, 0.01)}


LARGER = [pytest.param(build, marks=pytest.mark.applications) for build in (mobilenet, efficientnet)]


@pytest.mark.parametrize("build", [resnet, *LARGER], ids=lambda build: build.__name__)
def test_backbones(build, hub, tmp_path):
    model, (couple, share) = classifier(build, hub), CASES[build]
    images = images_for(model, 2)
    found = keras_cdd.sites(model, residual=couple, squeeze=True)
    assert not [left for left in found.left_out if "no rule" in left.reason]
    costs = cost_model(model, sites=found)
    assert costs.macs() == profiled_macs(model, images[:1])
    assert costs.macs(dict.fromkeys(found, 1)) <= share * costs.macs()
    all_the_way(model, couple, tmp_path)
