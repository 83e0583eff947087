"""The remaining time: exact if every unit of work takes the same time, and known early."""

import pytest

from keras_cdd.experiment.time_left import TimeLeft
from keras_cdd.settings.config import Config, RunConfig, SurgeryConfig, TrainingConfig


def run(student="cdd", **surgery):
    training = TrainingConfig(epochs=10, teacher_epochs=4)
    return TimeLeft(Config(training=training, surgery=SurgeryConfig(**surgery), run=RunConfig(student=student)))


def test_nothing_is_known_before_the_first_step():
    assert run().seconds("teacher", 0) is None


def test_the_first_steps_tell_of_the_whole_run():
    left = run(student="heavy")
    # A teacher's epoch is 3 passes, a heavy student's 4: 12 and 40 in all, a quarter of an epoch took 3 seconds.
    assert left.seconds("teacher", 0, fraction=0.25, elapsed=3.0) == pytest.approx(4 * (52 - 0.75))


def test_the_sum_is_right_if_work_takes_its_time():
    left = run(target_macs=0.4, cut_start=2.0, cut_end=6.0)
    durations = [("teacher", e, 2 * left.work("teacher", e)) for e in range(4)]
    durations += [("student", e, 2 * left.work("student", e)) for e in range(10)]
    for done, (stage, epoch, seconds) in enumerate(durations[:-1]):
        left.epoch_took(stage, epoch, seconds)
        following, number, _ = durations[done + 1]
        assert left.seconds(following, number) == pytest.approx(sum(rest for *_, rest in durations[done + 1 :]))
    assert left.seconds("student", 10) == 0


def test_a_student_gets_lighter():
    left = run(target_params=0.4, cut_start=2.0, cut_end=6.0)
    assert [left.work("student", epoch) for epoch in (0, 2, 4, 6, 9)] == pytest.approx([4, 4, 3.1, 2.2, 2.2])


def test_an_epoch_that_traced_does_not_count_for_long():
    left = run(student="heavy")
    for epoch, seconds in enumerate((90.0, 3.0, 3.0)):
        left.epoch_took("teacher", epoch, seconds)
    assert left.seconds("teacher", 3) == pytest.approx(3 + 40)
