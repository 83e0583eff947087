"""Looks up what is installed: the names of commands, the package's flagfiles, and optional packages."""

import importlib.util
import pathlib
import re
import sys

from keras_cdd.errors import UserError

PACKAGE = pathlib.Path(__file__).parent.parent


def as_called(text):
    """Replaces `python -m module` in a help text by the name of the installed command, such as `cdd-train`."""
    called = pathlib.PurePath(sys.argv[0]).stem
    return re.sub(r"python -m [\w.]+", called, text) if called.startswith("cdd-") else text


def with_own_flagfiles(arguments):
    """Points `--flagfile=keras_cdd/configs/...` to the installed package if there is no such file in the folder."""
    return [_found(argument) for argument in arguments]


def _found(argument):
    flag, _, path = argument.partition("=")
    own = PACKAGE.parent / path
    is_ours = flag.lstrip("-") == "flagfile" and own.parent == PACKAGE / "configs" and own.is_file()
    return f"{flag}={own}" if is_ours and not pathlib.Path(path).exists() else argument


def require_packages(purpose, packages):
    """Checks that optional packages are installed.

    Args:
        purpose: what needs them, such as a flag; the error message starts with it.
        packages: name of the module -> name of the package to install.

    Raises:
        UserError: if packages are missing; the message names them.
    """
    missing = [package for module, package in packages.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise UserError(f"{purpose} needs packages that are not installed; run pip install {' '.join(missing)}.")
