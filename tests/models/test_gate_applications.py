"""Indicators at the sites of networks of keras.applications."""

import keras
import numpy as np
import pytest

import keras_cdd
from keras_cdd.models import count_macs
from tests.models.networks import images_for
from tests.models.test_gate_sites import network
from tests.surgery.stock import flat_outputs

A = keras.applications
OPTIONS = {"weights": None, "classes": 3, "classifier_activation": None}
# Of each: constructor, image size, options, indicator, residual, and how many sites have no place for one. ResNet50V2's
# residual streams are read behind BatchNorms; DenseNet's channels are read in concatenations.
APPLICATIONS = {
    "MobileNetV2": (A.MobileNetV2, 32, {"alpha": 0.35}, "dense", False, 0),
    "MobileNetV3Small": (A.MobileNetV3Small, 64, {"alpha": 0.5}, "dense", False, 0),
    "EfficientNetB0": (A.EfficientNetB0, 64, {}, "diagonal", True, 0),
    "ResNet50V2": (A.ResNet50V2, 32, {}, "diagonal", True, 0),
    "ConvNeXtTiny": (A.ConvNeXtTiny, 32, {}, "dense", True, 0),
    "DenseNet121": (A.DenseNet121, 32, {}, "diagonal", False, 62),
}


@pytest.mark.applications
@pytest.mark.parametrize("build, size, options, kind, couple, bare", APPLICATIONS.values(), ids=APPLICATIONS)
def test_applications(build, size, options, kind, couple, bare):
    model = network(lambda: build(input_shape=(size, size, 3), **OPTIONS, **options))
    heavy = keras_cdd.gate_model(model, indicator=kind, residual=couple)
    images = images_for(model, 2)
    np.testing.assert_array_equal(flat_outputs(heavy, images), flat_outputs(model, images))
    found = keras_cdd.sites(heavy, residual=couple)
    assert sum(site.indicator is None for site in found.values()) == bare
    assert list(found) == list(keras_cdd.sites(model, residual=couple))
    assert count_macs(heavy) == count_macs(model)
