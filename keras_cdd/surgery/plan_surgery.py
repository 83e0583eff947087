"""From a model and an aim to a plan."""

import dataclasses
from collections.abc import Mapping

import keras
import numpy as np

from keras_cdd.errors import UserError
from keras_cdd.models import CostModel, cost_model
from keras_cdd.models.gated_units import indicator_kernels
from keras_cdd.models.sites import sites
from keras_cdd.surgery.budget import least_important_first
from keras_cdd.surgery.importance import norm_importance, relative, surviving_importance
from keras_cdd.surgery.plan import SurgeryPlan, make_plan, rounded_up
from keras_cdd.surgery.site_weights import living_channels, producer_norms

TINY = float(np.finfo(np.float64).tiny)


def plan_surgery(
    model: keras.Model,
    target_macs: float | None = None,
    target_params: float | None = None,
    importance_threshold: float | None = None,
    round_to: int = 1,
    importance: Mapping[str, np.ndarray] | None = None,
    residual: bool = False,
) -> SurgeryPlan:
    """Decides which channels stay; changes nothing.

    A model with gated blocks is cut at their indicators and nowhere else. Any other is cut at its sites, see
    `keras_cdd.sites`; its classifier counts, unless it is a retrieval model (a dict of outputs with an `embedding`).

    Args:
        model: a functional Keras model or built `Sequential`.
        target_macs: fraction of the uncut network's MACs to keep (deployed form). The uncut network of a model without
            indicators is the model itself.
        target_params: the same for parameters.
        importance_threshold: channels whose importance is below it go.
        round_to: widths become multiples of this, still within the budget; filters that feed nothing stay as well if
            they make the number of an indicator's inputs such a multiple.
        importance: site -> (channels,), non-negative; without indicators, sites that are not named stay whole. Default:
            L2 norms of the indicators' kernels; without indicators, of the kernels that make a channel, all together if
            several layers do (after Li et al., ICLR 2017). For a budget they are squared and taken relative to their
            site's mean; without indicators, to the mean of what is then left of the site, see `surviving_importance`,
            and times what a channel costs now, so that no site is emptied because its channels cost much.
        residual: channels that additions join leave together, see `keras_cdd.sites`. Not for gated blocks.

    With no aim at all, the plan removes what is exactly zero: indicators; without them, what every layer behind reads
    with zeros only, or what is made as zero and stays zero until it is read. The strongest channel of a site always
    stays.

    Returns:
        A `SurgeryPlan`.

    Raises:
        ValueError: for more than one aim, a budget out of reach (naming the floor), an importance that does not fit, or
            a model without a channel that can leave.
    """
    aims = {"target_macs": target_macs, "target_params": target_params, "importance_threshold": importance_threshold}
    given = {name: value for name, value in aims.items() if value is not None}
    if len(given) > 1:
        raise ValueError(f"Surgery takes one aim. Received: {given}")
    kernels = indicator_kernels(model)
    gathered = _of_indicators(model, kernels) if kernels else _of_sites(model, importance, residual)
    if target_macs is not None or target_params is not None:
        measure = "macs" if target_macs is not None else "params"
        if importance is None:
            importance = relative(gathered.norms) if kernels else _shares(gathered, measure)
        worth = _only_living(importance, gathered.living)
        kept = least_important_first(gathered.costs, worth, next(iter(given.values())), measure, round_to)
    else:
        worth = dict(importance or gathered.norms)
        worth = worth if kernels else _only_living(worth, gathered.living)
        threshold = TINY if importance_threshold is None else importance_threshold
        kept = {site: _at_least(values, threshold, round_to) for site, values in worth.items()}
    return make_plan(gathered.costs, kernels, kept, worth, round_to, residual and not kernels)


@dataclasses.dataclass(frozen=True)
class _Gathered:
    """What a model says about its channels.

    Attributes:
        costs: its `CostModel`.
        norms: site -> (channels,).
        living: site -> bool (channels,), False for what is exactly zero.
    """

    costs: CostModel
    norms: dict[str, np.ndarray]
    living: dict[str, np.ndarray]


def _of_indicators(model: keras.Model, kernels: Mapping[str, np.ndarray]) -> _Gathered:
    living = {site: np.any(kernel != 0, axis=0) for site, kernel in kernels.items()}
    return _Gathered(cost_model(model), norm_importance(kernels), living)


def _of_sites(model: keras.Model, importance: Mapping[str, np.ndarray] | None, residual: bool) -> _Gathered:
    found = sites(model, residual=residual, squeeze=importance is not None)
    if importance is not None:
        wrong = [
            site for site, values in importance.items() if site not in found or len(values) != found[site].channels
        ]
        if wrong:
            raise ValueError(
                "Argument `importance` must have a value for every channel of the sites that it names, see "
                f"`keras_cdd.sites`. Received: other ones for {wrong}"
            )
        found = found.only(importance)
    if not found:
        raise UserError(f"Surgery finds no channels that can leave in {model.name}; `keras_cdd.sites` says why.")
    costs = cost_model(model, sites=found)
    return _Gathered(costs, producer_norms(found), living_channels(found))


def _shares(gathered: _Gathered, measure: str) -> dict[str, np.ndarray]:
    column = 0 if measure == "macs" else 1
    values = surviving_importance(gathered.norms)
    return {site: worth * gathered.costs.of_one_channel(site)[column] for site, worth in values.items()}


def _only_living(importance: Mapping[str, np.ndarray], living: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Zero for what is gone already, so that it leaves first; the least positive number at least for the others."""
    return {site: np.where(living[site], np.maximum(values, TINY), 0.0) for site, values in importance.items()}


def _at_least(importance: np.ndarray, threshold: float, round_to: int) -> np.ndarray:
    """Positions with an importance not below the threshold, rounded up with the strongest of the others.

    If none reaches it, the strongest stays, with its equals (but for the last bits) unless all are zero.
    """
    reached = min(threshold, max(importance.max() * (1 - 1e-6), TINY))
    count = max(1, int(np.sum(importance >= reached)))
    strongest_first = np.argsort(-importance, kind="stable")
    return np.sort(strongest_first[: rounded_up(count, round_to)])
