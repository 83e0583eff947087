"""Names that nothing in a graph has yet."""

from collections.abc import Iterable, Sequence


class FreeNames:
    """Gives every name once.

    Args:
        taken: names that are taken from the start.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def __call__(self, name: str, path: Sequence[str] = ()) -> str:
        """Returns and reserves a name based on `name` and, if that is taken, on `path`."""
        candidates = [name, "_".join([*path, name])] if path else [name]
        number = 1
        while candidates[0] in self._taken:
            candidates = candidates[1:] or [f"{name}_{(number := number + 1)}"]
        self._taken.add(candidates[0])
        return candidates[0]
