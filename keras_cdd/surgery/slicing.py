"""How any array is cut, weight or optimizer slot (NumPy)."""

import numpy as np


def slice_array(array, cuts):
    """Keeps, along each axis named in `cuts` ((axis, positions) pairs), the given positions."""
    for axis, positions in cuts:
        array = np.take(array, positions, axis=axis)
    return array


def slice_all(sources, cuts, targets):
    """Cuts every array of `sources` and checks that the result fits `targets` exactly.

    Args:
        sources: name -> array.
        cuts: name -> (axis, positions) pairs; arrays without an entry stay whole.
        targets: name -> shape.

    Returns:
        Name -> array, one for every target.

    Raises:
        ValueError: naming every source without a target, every target without a source, every cut without either, and
            every shape that disagrees.
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
