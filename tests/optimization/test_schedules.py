"""Properties of the schedules that the golden file does not cover."""

import pytest
import tensorflow as tf

from keras_cdd.optimization import WarmupCosine, WarmupMultiStep

SCHEDULES = [
    WarmupCosine(0.1, epochs=12, steps_per_epoch=5, delay=4, minimum=0.01, warmup_epochs=3),
    WarmupMultiStep(0.1, [5, 9], steps_per_epoch=5, warmup_epochs=3, warmup="constant"),
]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_rate_is_constant_within_an_epoch(schedule):
    for epoch in range(15):
        rates = {float(schedule(tf.constant(5 * epoch + step, tf.int64))) for step in range(5)}
        assert rates == {float(schedule.at_epoch(epoch))}


def test_the_cosine_by_hand():
    rates = [float(SCHEDULES[0].at_epoch(epoch)) for epoch in (0, 1, 3, 4, 8, 12, 100)]
    # A tenth, four tenths, the base twice, half way, the minimum, and there it stays.
    assert rates == pytest.approx([0.01, 0.04, 0.1, 0.1, 0.055, 0.01, 0.01], rel=1e-5)


def test_the_steps_by_hand():
    rates = [float(SCHEDULES[1].at_epoch(epoch)) for epoch in (0, 2, 3, 4, 5, 8, 9, 50)]
    assert rates == pytest.approx([0.01, 0.01, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001], rel=1e-5)


def test_no_milestones_leave_the_base_rate():
    assert float(WarmupMultiStep(0.1, [], 5)(tf.constant(77))) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("settings", "word"), [({"warmup": "cubic"}, "warmup"), ({"steps_per_epoch": 0}, "steps_per_epoch")]
)
def test_wrong_settings_are_refused(settings, word):
    with pytest.raises(ValueError, match=f"`{word}`.*Received"):
        WarmupCosine(**{"base": 0.1, "epochs": 3, "steps_per_epoch": 2, **settings})
