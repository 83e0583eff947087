"""From a model and an aim to a plan."""

from collections.abc import Mapping

import keras
import numpy as np

from keras_cdd.models import cost_model
from keras_cdd.models.gated_units import indicator_kernels
from keras_cdd.surgery.budget import least_important_first
from keras_cdd.surgery.importance import norm_importance, only_living, relative_norm_importance
from keras_cdd.surgery.plan import SurgeryPlan, make_plan, rounded_up

TINY = float(np.finfo(np.float64).tiny)


def plan_surgery(
    model: keras.Model,
    target_macs: float | None = None,
    target_params: float | None = None,
    importance_threshold: float | None = None,
    round_to: int = 1,
    importance: Mapping[str, np.ndarray] | None = None,
) -> SurgeryPlan:
    """Decides which channels stay; changes nothing.

    Args:
        model: a functional Keras model with gated blocks.
        target_macs: fraction of the uncut network's MACs to keep (deployed form).
        target_params: the same for parameters.
        importance_threshold: channels whose importance is below it go.
        round_to: widths become multiples of this, still within the budget; filters that feed nothing stay as well if
            they make the number of an indicator's inputs such a multiple.
        importance: site -> (channels,); indicator norms by default (relative ones for a budget).

    With no aim at all, the plan removes what is exactly zero. The strongest channel of a site always stays.

    Returns:
        A `SurgeryPlan`.

    Raises:
        ValueError: for more than one aim, a budget out of reach (naming the floor) or a model without gated blocks.
    """
    aims = {"target_macs": target_macs, "target_params": target_params, "importance_threshold": importance_threshold}
    given = {name: value for name, value in aims.items() if value is not None}
    if len(given) > 1:
        raise ValueError(f"Surgery takes one aim. Received: {given}")
    kernels = indicator_kernels(model)
    if not kernels:
        raise ValueError("Surgery needs gated blocks with indicators. Received: a model without any")
    costs = cost_model(model)
    if target_macs is not None or target_params is not None:
        importance = only_living(importance or relative_norm_importance(kernels), kernels, least=TINY)
        measure = "macs" if target_macs is not None else "params"
        kept = least_important_first(costs, importance, next(iter(given.values())), measure, round_to)
    else:
        importance = importance or norm_importance(kernels)
        threshold = TINY if importance_threshold is None else importance_threshold
        kept = {site: _at_least(values, threshold, round_to) for site, values in importance.items()}
    return make_plan(costs, kernels, kept, importance, round_to)


def _at_least(importance: np.ndarray, threshold: float, round_to: int) -> np.ndarray:
    """Positions with an importance not below the threshold, rounded up with the strongest of the others.

    If none reaches it, the strongest stays, with its equals (but for the last bits) unless all are zero.
    """
    reached = min(threshold, max(importance.max() * (1 - 1e-6), TINY))
    count = max(1, int(np.sum(importance >= reached)))
    strongest_first = np.argsort(-importance, kind="stable")
    return np.sort(strongest_first[: rounded_up(count, round_to)])
