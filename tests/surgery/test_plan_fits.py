"""A plan is of one model, as it was: what does not fit is refused, with the remedy."""

import keras
import numpy as np
import pytest

from keras_cdd.models import gate_model
from keras_cdd.surgery import plan_surgery, rebuild, silence
from tests.models.sites.small import plain

L = keras.layers


def narrow(filters, name="a"):
    image = keras.Input((8, 8, 3))
    x = L.Conv2D(filters, 3, activation="relu", name=name)(image)
    return keras.Model(image, L.Dense(3, name="top")(L.GlobalAveragePooling2D()(x)))


OTHERS = {
    "wider": (narrow(9), "8 channels at site 'a', where the model has 9"),
    "narrower": (narrow(4), "8 channels at site 'a', where the model has 4"),
    "other names": (narrow(8, "b"), "8 channels at site 'a', where the model has no site"),
}


@pytest.mark.parametrize("act", [rebuild, silence])
@pytest.mark.parametrize("other", OTHERS)
def test_a_plan_of_another_model_is_refused(act, other):
    (model, difference), plan = OTHERS[other], plan_surgery(narrow(8), target_macs=0.5)
    before = [weight.numpy() for weight in model.weights]
    with pytest.raises(ValueError, match=f"plan again with `plan_surgery`.*{difference}"):
        act(model, plan)
    for array, weight in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(weight, array)


@pytest.mark.parametrize("act", [rebuild, silence])
def test_a_plan_is_used_up_by_its_surgery(act):
    model = plain()
    plan = plan_surgery(model, target_macs=0.5)
    with pytest.raises(ValueError, match="plan again with `plan_surgery`.*6 channels at site 'a'"):
        act(rebuild(model, plan), plan)


def test_the_inputs_of_an_indicator_count_too():
    """One filter feeds nothing; all outputs stay."""
    model = gate_model(narrow(6), indicator="dense")
    kernel = np.eye(6)
    kernel[5, 5], kernel[4, 5] = 0, 1
    model.get_layer("a_indicator").kernel.assign(kernel[None, None])
    plan = plan_surgery(model)
    assert plan.cuts["a"].removed == 0 and not plan.is_identity
    slim = rebuild(model, plan)
    for act in (rebuild, silence):
        with pytest.raises(ValueError, match="6 inputs at site 'a', where the model has 5"):
            act(slim, plan)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_importances_are_finite_and_not_negative(value):
    with pytest.raises(ValueError, match="`importance` must be finite and not negative.*'a'"):
        plan_surgery(plain(), target_macs=0.8, importance={"a": np.array([0, 1, 2, 3, 4, value])})
