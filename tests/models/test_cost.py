"""Counts agree with those of the authors' modules, with a profiler and with counting by hand."""

import functools
import math

import keras
import pytest

import keras_cdd
from keras_cdd.models import cost_model, count_macs, count_params, gated_resnet
from keras_cdd.surgery import fuse, plan_surgery, rebuild
from tests.models.networks import APPLICATIONS, NETWORKS, cases, images_for, randomised
from tests.models.profiler import profiled_macs

L = keras.layers
FORMS = {
    "teacher_train_form": ("none", False),
    "teacher_deploy_form": ("none", True),
    "student_train_form(with compactors)": ("conv2", False),
    "student_deploy_unpruned": ("conv2", True),
}


@functools.lru_cache(maxsize=4)
def network(backbone, classes, indicators, size):
    return gated_resnet(backbone, image_size=size, num_classes=classes, indicators=indicators)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("key, size", [("resnet50_classes576", (256, 256)), ("resnet101_classes1041", (320, 160))])
def test_golden_counts(golden, key, size, form):
    expected = golden("counts.json")["counts"][key][form]
    backbone, classes = key.split("_classes")
    indicators, deployed = FORMS[form]
    model = network(backbone, int(classes), indicators, size)
    for classifier, suffix in ((True, "with_classifier"), (False, "without_classifier")):
        assert count_params(model, deployed, classifier) == expected[f"params_{suffix}"]
        assert count_macs(model, deployed, classifier) == expected[f"macs_{size[0]}x{size[1]}_{suffix}"]


@pytest.mark.slow
def test_golden_counts_of_cut_networks(golden):
    counts = golden("counts.json")
    model = network("resnet50", 576, "conv2", (256, 256))
    costs = cost_model(model)

    for fraction, expected in counts["uniform_keep"]["resnet50_classes576"].items():
        keep = 0.0 if fraction == "one_channel_per_block" else float(fraction)
        widths = {site: max(1, math.ceil(full * keep)) for site, full in costs.full_widths.items()}
        assert costs.params(widths) == expected["params_without_classifier"]
        assert costs.macs(widths) == expected["macs_256x256_without_classifier"]


def test_freezing_changes_no_count():
    model = gated_resnet("resnet18", width=4, image_size=(32, 32), embedding_size=8, num_classes=3)
    counts = [count_params(model, deployed) for deployed in (True, False)]
    model.trainable = False
    assert counts == [count_params(model, deployed) for deployed in (True, False)]


@pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)
def test_counts_are_what_a_profiler_counts(build):
    model = randomised(build())
    image = images_for(model, count=1)
    assert count_macs(model, deployed=False, classifier=True) == profiled_macs(model, image)
    deploy = fuse(model)
    assert count_macs(model) == count_macs(deploy) == profiled_macs(deploy, image)
    assert count_params(model) == count_params(deploy)


@pytest.mark.parametrize("build", cases(APPLICATIONS, ["MobileNetV2"]))
def test_counts_of_applications_are_what_a_profiler_counts(build):
    test_counts_are_what_a_profiler_counts(build)


@pytest.mark.parametrize(
    "name, macs",
    [
        ("dense_on_a_map", 7 * 7 * 16 * 32),
        # 3x3x3x8 at 14x14, 3x3x8x12 at 5x5, 300x5: each layer once, however often `add` called it.
        ("sequential_by_add", 216 * 196 + 864 * 25 + 1500),
        ("called_elsewhere", 108 * 36),
        # 3x3x3x4 and 4x5, at 14x14 and 6x6.
        ("shared_tower", (108 + 20) * (196 + 36)),
        # The classifier is no part of the deployed form.
        ("embedding_and_logits", 108 * 36 + 24),
    ],
)
def test_counts_by_hand(name, macs):
    assert count_macs(NETWORKS[name]()) == macs


def test_a_shared_layer_has_its_parameters_once():
    # The BatchNorm folds: it stands behind the convolution at both calls.
    assert count_params(NETWORKS["shared_tower"]()) == (108 + 4) + (20 + 5)


def test_an_open_image_size_is_refused():
    image = keras.Input((None, None, 3))
    with pytest.raises(ValueError, match="fixed image size.*Received: conv"):
        count_macs(keras.Model(image, keras.layers.Conv2D(2, 3, name="conv")(image)))


def image_sequence():
    """Four images, each through a model."""
    inner = keras.Sequential([keras.Input((5, 5, 3)), L.Conv2D(4, 3), L.GlobalAveragePooling2D(), L.Dense(7)])
    images = keras.Input((4, 5, 5, 3))
    return keras.Model(images, L.TimeDistributed(inner)(images))


def on_a_sequence(*layers):
    x = sequence = keras.Input((10, 6))
    for layer in layers:
        x = layer(x, x) if isinstance(layer, (L.MultiHeadAttention, L.GroupQueryAttention)) else layer(x)
    return keras.Model(sequence, x)


# Builder -> MACs by hand: ten steps of six features.
SEQUENCES = {
    "einsum": (lambda: on_a_sequence(L.EinsumDense("abc,cd->abd", output_shape=(10, 8))), 10 * 6 * 8),
    "einsum_heads": (lambda: on_a_sequence(L.EinsumDense("...c,cde->...de", output_shape=(4, 5))), 10 * 6 * 20),
    "einsum_over_steps": (lambda: on_a_sequence(L.EinsumDense("abc,bd->adc", output_shape=(3, 6))), 6 * 10 * 3),
    "einsum_scale": (lambda: on_a_sequence(L.EinsumDense("...a,a->...a", output_shape=6)), 10 * 6),
    # Four maps of 6 to 8 and back, two products of 10 x 10 with 8 features.
    "attention": (lambda: on_a_sequence(L.MultiHeadAttention(2, 4)), 10 * 4 * 48 + 2 * 100 * 8),
    "gated_attention": (lambda: on_a_sequence(L.MultiHeadAttention(2, 4, use_gate=True)), 10 * 5 * 48 + 2 * 100 * 8),
    # Four heads of 3 for queries and outputs, two for keys and values.
    "grouped_attention": (lambda: on_a_sequence(L.GroupQueryAttention(3, 4, 2)), 10 * 2 * (72 + 36) + 2 * 100 * 12),
    "simple": (lambda: on_a_sequence(L.SimpleRNN(5)), 10 * 5 * (6 + 5)),
    "lstm": (lambda: on_a_sequence(L.LSTM(5, return_sequences=True), L.LSTM(4)), 10 * (20 * 11 + 16 * 9)),
    "gru": (lambda: on_a_sequence(L.GRU(5)), 10 * 15 * 11),
    "bidirectional": (lambda: on_a_sequence(L.Bidirectional(L.GRU(5))), 2 * 10 * 15 * 11),
    "cells": (lambda: on_a_sequence(L.RNN([L.LSTMCell(5), L.GRUCell(4)])), 10 * (20 * 11 + 12 * 9)),
    "distributed": (lambda: on_a_sequence(L.TimeDistributed(L.Dense(3))), 10 * 18),
}


@pytest.mark.parametrize("build, macs", SEQUENCES.values(), ids=SEQUENCES)
def test_layers_of_sequences(build, macs):
    model = build()
    assert count_macs(model) == count_macs(model, deployed=False) == macs
    assert macs == profiled_macs(model, images_for(model, count=1))
    assert "not counted" not in str(keras_cdd.sites(model))


def test_a_model_distributed_over_time():
    # 3x3x3x4 at 3x3 and 4x7, four times.
    assert count_macs(image_sequence()) == 4 * (108 * 9 + 28)


def test_attention_to_a_shorter_sequence():
    queries, values = keras.Input((10, 6)), keras.Input((4, 3))
    model = keras.Model([queries, values], L.MultiHeadAttention(2, 4, value_dim=5)(queries, values))
    # Queries to 2x4, keys to 2x4, values to 2x5, outputs back to 6; 10 x 4 products of 8 and of 10.
    assert count_macs(model) == 10 * 48 + 4 * 24 + 4 * 30 + 10 * 60 + 40 * (8 + 10)


def test_attention_along_one_axis():
    grid = keras.Input((3, 5, 6))
    model = keras.Model(grid, L.MultiHeadAttention(2, 4, attention_axes=2)(grid, grid))
    assert count_macs(model) == 15 * 4 * 48 + 2 * 3 * 25 * 8


def test_a_budget_holds_with_attention():
    sequence = keras.Input((16, 8))
    x = sequence + L.MultiHeadAttention(2, 4)(sequence, sequence)
    x = x + L.Dense(8)(L.Dense(64, activation="gelu", name="wide")(x))
    model = keras.Model(sequence, L.Dense(2)(L.GlobalAveragePooling1D()(x)))
    slim = rebuild(model, plan_surgery(model, target_macs=0.6))
    image = images_for(model, count=1)
    assert 0.5 < profiled_macs(slim, image) / profiled_macs(model, image) <= 0.6


class Mixing(L.Layer):
    """A matrix that nothing is known of."""

    def build(self, shape):
        self.matrix = self.add_weight(shape=(shape[-1], shape[-1]), name="matrix")

    def call(self, x):
        return x @ self.matrix

    def compute_output_shape(self, shape):
        return shape


def test_what_is_not_counted_is_named():
    sequence = keras.Input((10,), dtype="int32")
    x = L.TimeDistributed(Mixing(), name="steps")(Mixing(name="mixing")(L.Embedding(20, 6)(sequence)))
    x = L.Dense(4, activation="relu")(x)
    model = keras.Model(sequence, L.Dense(2)(x))
    line = "not counted: mixing (Mixing), steps (Mixing)"
    assert line in str(keras_cdd.sites(model)) and line in str(plan_surgery(model, target_macs=0.5))
    assert count_macs(model) == 10 * (24 + 8)


def test_an_open_number_of_steps_is_refused():
    with pytest.raises(ValueError, match="number of steps.*Received: lstm"):
        count_macs(keras.Sequential([keras.Input((None, 3)), L.LSTM(2, name="lstm")]))
