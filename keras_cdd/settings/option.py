"""A setting with its help text: a field of a dataclass from which `flags.py` makes a flag."""

import dataclasses


def option(default, text, choices=None, switch=None):
    """A dataclass field with a default and a help text.

    Args:
        choices: the allowed values, a sequence or a table; any by default.
        switch: for a choice that was true or false in earlier releases: what `--no<name>` and `--<name>` stand for.
    """
    return dataclasses.field(default=default, metadata={"help": text, "choices": choices, "switch": switch})
