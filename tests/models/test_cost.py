"""Counts agree with those of the authors' modules, with a profiler and with counting by hand."""

import functools
import math

import keras
import pytest

from keras_cdd.models import cost_model, count_macs, count_params, gated_resnet
from keras_cdd.surgery import fuse
from tests.models.networks import APPLICATIONS, NETWORKS, cases, images_for, randomised
from tests.models.profiler import profiled_macs

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
@pytest.mark.parametrize("size", [(256, 256), (320, 160)])
@pytest.mark.parametrize("key", ["resnet50_classes576", "resnet101_classes1041"])
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
