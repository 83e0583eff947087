"""When a run rebuilds its student."""

import types

import numpy as np
import pytest

from keras_cdd.experiment.surgeon import Surgeon
from keras_cdd.models import gated_resnet
from keras_cdd.models.gated_units import indicator_kernels
from keras_cdd.settings.config import Config, SurgeryConfig
from keras_cdd.surgery import plan_surgery, silence


@pytest.fixture
def student(tiny_backbone):
    return gated_resnet(tiny_backbone, width=8, image_size=(16, 16), embedding_size=8, stem="small")


def decisions(student, epochs=(1, 2, 3, 4), **surgery):
    surgeon = Surgeon(Config(surgery=SurgeryConfig(pad_channels=1, **surgery)), student, steps_per_epoch=10)
    return [surgeon.wants_rebuild(types.SimpleNamespace(student=student), epoch) for epoch in epochs]


def zero(student, **aim):
    importance = {site: np.arange(1.0, 1.0 + k.shape[1]) for site, k in indicator_kernels(student).items()}
    silence(student, plan_surgery(student, importance=importance, **aim))


def test_without_a_budget_a_rebuild_waits_for_its_epochs_or_for_a_worthwhile_saving(student):
    """Proximal shrinkage zeroes a few channels every epoch; a rebuild for each would cost more than it saves."""
    zero(student, target_macs=0.99)
    assert decisions(student) == [False] * 4
    assert decisions(student, surgery_every=2) == [False, True, False, True]
    zero(student, target_macs=0.6)
    assert decisions(student) == [True] * 4


def test_when_the_last_cut_is_over_any_saving_is_taken(student):
    zero(student, target_macs=0.99)
    budget = {"target_macs": 0.9, "num_cuts": 2, "cut_start": 0.0, "cut_end": 3.0}
    assert decisions(student, **budget) == [False, False, True, True]


def test_nothing_to_remove_is_nothing_to_rebuild(student):
    assert decisions(student, surgery_every=1) == [False] * 4
