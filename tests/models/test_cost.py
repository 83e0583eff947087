"""Counts agree with those of the authors' modules."""

import functools
import math

import pytest

from keras_cdd.models import cost_model, count_macs, count_params, gated_resnet

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
