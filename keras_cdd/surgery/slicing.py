"""Cuts arrays, such as weights and optimizer slots (NumPy)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from keras_cdd.models.sites import Sites, Slot
    from keras_cdd.surgery.plan import SurgeryPlan

Cuts = list[tuple[int, np.ndarray]]  # (axis, positions that stay)


def slice_array(array: np.ndarray, cuts: Iterable[tuple[int, Any]]) -> np.ndarray:
    """Keeps the given positions along the given axes.

    Args:
        array: NumPy array of any shape.
        cuts: iterable of (axis, positions).

    Returns:
        A new array; `array` itself if `cuts` is empty.
    """
    for axis, positions in cuts:
        array = np.take(array, positions, axis=axis)
    return array


def slice_all(
    sources: Mapping[str, np.ndarray],
    cuts: Mapping[str, Iterable[tuple[int, Any]]],
    targets: Mapping[str, Sequence[int]],
) -> dict[str, np.ndarray]:
    """Cuts every array of `sources` and checks that the result fits `targets` exactly.

    Args:
        sources: name -> array.
        cuts: name -> list of (axis, positions); arrays without an entry stay whole.
        targets: name -> shape.

    Returns:
        Name -> array, one for every target.

    Raises:
        ValueError: if anything does not fit; the message lists every source without a target, every target without a
            source, every cut without a source, and every shape that differs.
    """
    sliced = {name: slice_array(array, cuts.get(name, ())) for name, array in sources.items()}
    problems = [f"{name} has no place in the slim model" for name in sliced.keys() - targets.keys()]
    problems += [f"{name} of the slim model has no source" for name in targets.keys() - sliced.keys()]
    problems += [f"a cut names {name}, which does not exist" for name in cuts.keys() - sources.keys()]
    problems += [
        f"{name} was cut to {sliced[name].shape}, the slim model wants {tuple(targets[name])}"
        for name in sliced.keys() & targets.keys()
        if sliced[name].shape != tuple(targets[name])
    ]
    if problems:
        raise ValueError("Surgery does not fit: " + "; ".join(sorted(problems)))
    return sliced


def weight_cuts(sites: "Sites", plan: "SurgeryPlan") -> dict[str, Cuts]:
    """Path of a weight -> (axis, positions) pairs: everything that the plan's sites touch.

    Args:
        sites: of the model that the plan was made for.
        plan: `SurgeryPlan`.
    """
    staying: dict[tuple[str, int], np.ndarray] = {}

    def remove(slot: "Slot", kept: np.ndarray) -> None:
        # Several sites can share an axis, behind a concatenation.
        length = sites.variables[slot.path].shape[slot.axis]
        stays = staying.setdefault((slot.path, slot.axis), np.ones(length, bool))
        stays[removed_positions(slot.positions, kept)] = False

    for name, cut in plan.cuts.items():
        for slot in sites[name].slots:
            remove(slot, cut.outputs)
        for slot in sites[name].input_slots:
            remove(slot, cut.inputs)
    cuts: dict[str, Cuts] = {}
    for (path, axis), stays in staying.items():
        cuts.setdefault(path, []).append((axis, np.flatnonzero(stays)))
    return cuts


def removed_positions(positions: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Of a site's (channels, n) positions along an axis those that go when only the channels `kept` stay."""
    return np.delete(positions, kept, axis=0).ravel()
