"""Cuts arrays, such as weights and optimizer slots (NumPy)."""

import numpy as np


def slice_array(array, cuts):
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


def slice_all(sources, cuts, targets):
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
