"""Gated blocks and head, forward, backward and fused, against the authors' modules."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cdd.layers import FeatureRecorder, GatedBottleneck, embedding_head
from keras_cdd.surgery import fuse
from tests.golden_weights import hwio, nhwc, set_block_weights, torch_name

CASES = ["proj_s2_even", "proj_s2_odd", "ident_s1", "proj_s1"]
CLOSE = {"rtol": 2e-5, "atol": 2e-5}


def make_block(data, case):
    _, planes, stride = (int(v) for v in data[f"{case}.meta_in_planes_stride"])
    block = GatedBottleneck(planes, stride=stride, name="stage1_block1")
    block.build((None, *nhwc(data[f"{case}.x"]).shape[1:]))
    set_block_weights(block, data, f"{case}.w.")
    return block


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_golden_block_forward(golden, case, mode):
    data = golden("block.npz")
    block = make_block(data, case)
    with FeatureRecorder() as record:
        outputs = block(nhwc(data[f"{case}.x"]), training=mode == "train")
    np.testing.assert_allclose(outputs, nhwc(data[f"{case}.{mode}.out"]), **CLOSE)
    site = "stage1_block1/conv2"
    np.testing.assert_allclose(record.convolution[site], data[f"{case}.{mode}.feature_map"], **CLOSE)
    np.testing.assert_allclose(record.indicator[site], data[f"{case}.{mode}.mask_map"], **CLOSE)


@pytest.mark.parametrize("case", CASES)
def test_golden_block_backward(golden, case):
    data = golden("block.npz")
    block = make_block(data, case)
    x = tf.constant(nhwc(data[f"{case}.x"]))
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(block(x, training=True) * nhwc(data[f"{case}.train.cotangent"]))
    *gradients, for_x = tape.gradient(total, [*block.trainable_variables, x])
    np.testing.assert_allclose(for_x, nhwc(data[f"{case}.train.grad.x"]), rtol=1e-3, atol=2e-4)
    for variable, gradient in zip(block.trainable_variables, gradients, strict=True):
        expected = data[f"{case}.train.grad.{torch_name(variable)}"]
        expected = hwio(expected) if expected.ndim == 4 else expected
        # Sums over all positions: the error grows with the terms.
        np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-3)
    for variable in block.non_trainable_variables:
        # Both take the unbiased variance.
        np.testing.assert_allclose(variable, data[f"{case}.train.after.{torch_name(variable)}"], **CLOSE)


@pytest.mark.parametrize("case", CASES)
def test_golden_fused_block(golden, case):
    data = golden("block.npz")
    block = make_block(data, case)
    image = keras.Input(nhwc(data[f"{case}.x"]).shape[1:])
    fused = fuse(keras.Model(image, block(image)))
    np.testing.assert_allclose(fused(nhwc(data[f"{case}.x"])), nhwc(data[f"{case}.deploy.out"]), **CLOSE)
    convolutions = [layer for layer in fused.layers if isinstance(layer, keras.layers.Conv2D)]
    for layer in convolutions:
        unit = layer.name.removeprefix("stage1_block1_")
        name = {"conv2": "reparam"}.get(unit, f"{unit}.conv")
        kernel, bias = layer.get_weights()
        np.testing.assert_allclose(kernel, hwio(data[f"{case}.deploy.w.{name}.weight"]), **CLOSE)
        np.testing.assert_allclose(bias, data[f"{case}.deploy.w.{name}.bias"], **CLOSE)
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in fused.layers)


def test_golden_head(golden):
    data = golden("block.npz")
    features = data["head.x"]
    image = keras.Input((1, 1, features.shape[1]))
    outputs = embedding_head(image, data["head.eval.out0"].shape[1], data["head.eval.out1"].shape[1])
    head = keras.Model(image, outputs)
    names = {"head_bn1": "add_block.0", "head_dense": "add_block.2", "head_bn2": "add_block.3"}
    names["head_logits"] = "classifier"
    kinds = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}

    def golden_name(weight):
        layer, name = weight.path.split("/")
        return f"{names[layer]}.{kinds.get(name, 'weight')}"

    for weight in head.weights:
        array = data[f"head.w.{golden_name(weight)}"]
        weight.assign(array.T if array.ndim == 2 else array)
    x = tf.constant(features[:, None, None])
    result = head(x, training=False)
    np.testing.assert_allclose(result["embedding"], data["head.eval.out0"], **CLOSE)
    np.testing.assert_allclose(result["logits"], data["head.eval.out1"], **CLOSE)
    with tf.GradientTape() as tape:
        result = head(x, training=True)
        total = tf.reduce_sum(result["embedding"] * data["head.train.cotangent0"]) + tf.reduce_sum(
            result["logits"] * data["head.train.cotangent1"]
        )
    np.testing.assert_allclose(result["embedding"], data["head.train.out0"], **CLOSE)
    for weight, gradient in zip(head.trainable_weights, tape.gradient(total, head.trainable_weights), strict=True):
        expected = data[f"head.train.grad.{golden_name(weight)}"]
        np.testing.assert_allclose(gradient, expected.T if expected.ndim == 2 else expected, rtol=1e-3, atol=1e-4)
