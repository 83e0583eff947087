"""What is installed: commands under names of their own, our flagfiles, and packages that some commands need."""

import importlib.util
import pathlib
import re
import sys

from keras_cdd.errors import UserError

PACKAGE = pathlib.Path(__file__).parent.parent


def as_called(text):
    """A command's help with `python -m module` as the name it was called by, `cdd-train` for instance."""
    called = pathlib.PurePath(sys.argv[0]).stem
    return re.sub(r"python -m [\w.]+", called, text) if called.startswith("cdd-") else text


def with_own_flagfiles(arguments):
    """The arguments with `--flagfile=keras_cdd/configs/...` as the package's own, where the folder has no such file."""
    return [_found(argument) for argument in arguments]


def _found(argument):
    flag, _, path = argument.partition("=")
    own = PACKAGE.parent / path
    is_ours = flag.lstrip("-") == "flagfile" and own.parent == PACKAGE / "configs" and own.is_file()
    return f"{flag}={own}" if is_ours and not pathlib.Path(path).exists() else argument


def require_packages(purpose, packages):
    """Checks that optional packages are there.

    Args:
        purpose: what needs them, for the message.
        packages: name of the module -> name of the package to install.

    Raises:
        UserError: naming the packages that are missing.
    """
    missing = [package for module, package in packages.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise UserError(f"{purpose} needs what is not installed; pip install {' '.join(missing)}.")
