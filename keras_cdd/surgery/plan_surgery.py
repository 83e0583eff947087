"""From a model and an aim to a plan."""

from collections.abc import Mapping

import keras
import numpy as np

from keras_cdd.errors import UserError
from keras_cdd.models.sites import Sites, cut_sites
from keras_cdd.surgery.budget import least_important_first
from keras_cdd.surgery.channels import Channels
from keras_cdd.surgery.importance import only_living
from keras_cdd.surgery.plan import SurgeryPlan, make_plan, rounded_up

TINY = float(np.finfo(np.float64).tiny)


def plan_surgery(
    model: keras.Model,
    target_macs: float | None = None,
    target_params: float | None = None,
    importance_threshold: float | None = None,
    round_to: int = 1,
    importance: Mapping[str, np.ndarray] | None = None,
    residual: bool = False,
    full_widths: Mapping[str, int] | None = None,
) -> SurgeryPlan:
    """Decides which channels stay; changes nothing.

    A model is cut at its sites, see `keras_cdd.sites`; one with gated blocks only at its indicators, unless `residual`.
    Its classifier counts, unless it is a retrieval model (a dict of outputs with an `embedding`).

    Args:
        model: a functional Keras model or built `Sequential`.
        target_macs: fraction of the uncut network's MACs to keep (deployed form). Sites without an indicator do not
            tell what they were; see `full_widths`.
        target_params: the same for parameters.
        importance_threshold: channels whose importance is below it go.
        round_to: widths become multiples of this, still within the budget; filters that feed nothing stay as well if
            they make the number of an indicator's inputs such a multiple.
        importance: site -> (channels,), finite, not negative; sites that are not named stay whole. Default: L2 norms,
            of the kernels of dense indicators; elsewhere, of the kernels that make a channel, all together if several
            layers do (after Li et al., ICLR 2017), times the factor of a diagonal indicator. For a budget they are
            squared and made comparable between sites, see `Channels.comparable`.
        residual: channels that additions join leave together, see `keras_cdd.sites`.
        full_widths: site -> channels in the uncut network, of sites without an indicator. Default: those they have.

    With no aim at all, the plan removes what is exactly zero: indicators; without one, what every layer behind reads
    with zeros only, or what is made as zero and stays zero until it is read. The strongest channel of a site always
    stays.

    Returns:
        A `SurgeryPlan`.

    Raises:
        ValueError: for more than one aim, a budget out of reach (naming the floor), an importance that does not fit, or
            a model without a channel that can leave.
    """
    found = cut_sites(model, residual, squeeze=importance is not None)
    if importance is not None:
        found = found.only(_fitting(importance, found))
    channels = Channels(model, found.with_full_widths(full_widths or {}))
    aims = {"target_macs": target_macs, "target_params": target_params, "importance_threshold": importance_threshold}
    given = {name: value for name, value in aims.items() if value is not None}
    if len(given) > 1:
        raise ValueError(f"Surgery takes one aim. Received: {given}")
    budgets = (("macs", target_macs), ("params", target_params))
    budget = next(((measure, kept) for measure, kept in budgets if kept is not None), None)
    return plan_for(channels, budget, importance_threshold, round_to, importance, residual)


def plan_for(
    channels: Channels,
    budget: tuple[str, float] | None = None,
    importance_threshold: float | None = None,
    round_to: int = 1,
    importance: Mapping[str, np.ndarray] | None = None,
    residual: bool = False,
) -> SurgeryPlan:
    """`plan_surgery` for a model whose sites are known; `importance` has them all.

    A `budget` is "macs", "params" or "ms" and the fraction of the uncut network's to keep.
    """
    if not channels.sites:
        raise UserError(
            f"Surgery finds no channels that can leave in {channels.sites.graph.name}; `keras_cdd.sites` says why."
        )
    living = channels.living()
    if budget is not None:
        measure, target = budget
        worth = only_living(importance or channels.comparable(measure), living, TINY)
        kept = least_important_first(channels.costs, worth, target, measure, round_to)
    else:
        worth = only_living(importance or channels.norms(), living, TINY)
        threshold = TINY if importance_threshold is None else importance_threshold
        kept = {site: _at_least(values, threshold, round_to) for site, values in worth.items()}
    return make_plan(channels.costs, channels.dense_kernels(), kept, worth, round_to, residual)


def _fitting(importance: Mapping[str, np.ndarray], found: Sites) -> list[str]:
    wrong = [site for site, values in importance.items() if site not in found or len(values) != found[site].channels]
    if wrong:
        raise ValueError(
            "Argument `importance` must have a value for every channel of the sites that it names, see "
            f"`keras_cdd.sites`. Received: other ones for {wrong}"
        )
    for site, values in importance.items():
        if not (np.isfinite(values) & (np.asarray(values) >= 0)).all():
            raise ValueError(
                f"Argument `importance` must be finite and not negative. Received: {np.asarray(values)} for {site!r}"
            )
    return list(importance)


def _at_least(importance: np.ndarray, threshold: float, round_to: int) -> np.ndarray:
    """Positions with an importance not below the threshold, rounded up with the strongest of the others.

    If none reaches it, the strongest stays, with its equals (but for the last bits) unless all are zero.
    """
    reached = min(threshold, max(importance.max() * (1 - 1e-6), TINY))
    count = max(1, int(np.sum(importance >= reached)))
    strongest_first = np.argsort(-importance, kind="stable")
    return np.sort(strongest_first[: rounded_up(count, round_to)])
