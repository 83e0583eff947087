"""The table of importance scores."""

import numpy as np
import pytest

from keras_cdd.errors import UserError
from keras_cdd.surgery.importance import IMPORTANCES, importance_of, relative

NORMS = {"a": np.array([5.0, 1.0]), "b": np.ones(2)}
EVIDENCE = {
    "fisher": {"sums": {"a": np.array([2.0, 4.0]), "b": np.array([1.0, 0.0])}, "images": 2.0},
    "reset": {"counts": {"a": np.array([1.0, 4.0]), "b": np.array([0.0, 2.0])}, "updates": 4.0},
}
EXPECTED = {
    "norm": NORMS,
    "fisher": {"a": [1.0, 2.0], "b": [0.5, 0.0]},
    "reset": {"a": [0.75, 0.0], "b": [1.0, 0.5]},
}


@pytest.mark.parametrize("name", IMPORTANCES)
def test_every_score_by_hand(name):
    found = importance_of(name, NORMS, EVIDENCE.get(IMPORTANCES[name].gathered_by, {}))
    for site, values in EXPECTED[name].items():
        np.testing.assert_allclose(found[site], values)


def test_norms_are_relative_to_their_site():
    """Squared norms 25 and 1 over their mean 13."""
    found = relative(NORMS)
    np.testing.assert_allclose(found["a"], [25 / 13, 1 / 13])
    np.testing.assert_allclose(found["b"], [1.0, 1.0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_score_that_is_not_finite_is_refused(value):
    evidence = {"sums": {"a": np.array([1.0, value])}, "images": 1.0}
    with pytest.raises(UserError, match="fisher importance of a is not finite"):
        importance_of("fisher", NORMS, evidence)
