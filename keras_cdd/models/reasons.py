"""Reasons, as one line."""

from collections.abc import Mapping


def in_words(reasons: Mapping[str, str]) -> str:
    """Formats reasons (name -> reason) as one line, with at most three names per reason."""
    named: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        named.setdefault(reason, []).append(name)
    return "; ".join(f"{_some(names)}: {reason}" for reason, names in named.items())


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
