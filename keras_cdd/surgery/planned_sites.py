"""The sites of a model that a plan cuts."""

import keras

from keras_cdd.models.sites import Sites, sites
from keras_cdd.surgery.plan import SurgeryPlan


def planned_sites(model: keras.Model, plan: SurgeryPlan) -> Sites:
    """The sites that a plan names, of the model that it was made for.

    Args:
        model: functional Keras model or built `Sequential`.
        plan: its `SurgeryPlan`.

    Raises:
        ValueError: if the model's sites have other names or other widths; the message names the first of them.
        UserError: for a model without a graph.
    """
    found = sites(model, residual=plan.residual, squeeze=True)
    for name, cut in plan.cuts.items():
        if name not in found:
            raise _foreign(f"{cut.channels} channels at site {name!r}, where the model has no site")
        if cut.channels != found[name].channels:
            raise _foreign(f"{cut.channels} channels at site {name!r}, where the model has {found[name].channels}")
        inputs = len(found[name].input_slots[0].positions) if found[name].input_slots else cut.channels
        if cut.input_channels != inputs:
            raise _foreign(f"{cut.input_channels} inputs at site {name!r}, where the model has {inputs}")
    return found.only(plan.cuts)


def _foreign(difference: str) -> ValueError:
    return ValueError(
        "Argument `plan` must be a plan of this model as it is now; plan again with `plan_surgery`. "
        f"Received: a plan for {difference}"
    )
