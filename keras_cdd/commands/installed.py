"""What differs for who installed the package: commands have names, and the flagfiles lie inside."""

import pathlib
import re
import sys

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
