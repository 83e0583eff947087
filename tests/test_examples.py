"""The examples run."""

import json

import pytest

from examples import own_data, own_loss, shrink_own_model

pytestmark = pytest.mark.slow


def test_shrink_own_model(capsys):
    assert shrink_own_model.main() < 1e-3
    shown = capsys.readouterr().out
    accuracies = [float(line.rsplit(" ", 1)[1]) for line in shown.splitlines() if "accuracy" in line]
    assert len(accuracies) == 4 and accuracies[-1] > 0.8


def test_own_loss():
    before, after = own_loss.main(epochs=2)
    assert after > before


def test_own_data(tmp_path):
    workdir = own_data.main(tmp_path, "--teacher_epochs=1", "--epochs=2", "--identities_per_batch=8")
    assert json.loads((workdir / "summary.json").read_text())["macs_saved"] >= 50
