"""The examples run."""

import pytest

from examples import shrink_own_model


@pytest.mark.slow
def test_shrink_own_model(capsys):
    assert shrink_own_model.main() < 1e-3
    shown = capsys.readouterr().out
    accuracies = [float(line.rsplit(" ", 1)[1]) for line in shown.splitlines() if "accuracy" in line]
    assert len(accuracies) == 4 and accuracies[-1] > 0.8
