"""Checks whether two runs are the same."""

import json

import keras
import numpy as np
import pytest


def logged(workdir, name):
    """The records of a log, without times."""
    records = [json.loads(line) for line in (workdir / name).read_text().splitlines()]
    return [{k: v for k, v in record.items() if k not in ("seconds", "images_per_second")} for record in records]


def assert_same_run(ours, theirs):
    """Checks that weights are equal, and logs are equal line by line except for times."""
    resumed, expected = (keras.saving.load_model(workdir / "student.keras") for workdir in (ours, theirs))
    assert [w.shape for w in resumed.weights] == [w.shape for w in expected.weights]
    for weight, other in zip(resumed.weights, expected.weights, strict=True):
        np.testing.assert_allclose(weight, other, atol=1e-4, err_msg=other.path)
    for name in ("metrics.jsonl", "surgery.jsonl", "cuts.jsonl"):
        records, others = logged(ours, name), logged(theirs, name)
        assert len(records) == len(others), name
        for record, other in zip(records, others, strict=True):
            assert record.keys() == other.keys()
            for key, value in record.items():
                close = isinstance(value, float)
                assert value == (pytest.approx(other[key], rel=1e-3, abs=1e-4) if close else other[key]), (name, key)
