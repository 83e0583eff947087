"""Errors that the person who runs a command can fix; commands show them as one line."""


class UserError(ValueError):
    """A mistake of the user; the message names the problem and the remedy.

    Commands print only the message and exit with status 1. Every other exception is a bug and shows its traceback.
    """


class MissingFileError(UserError, FileNotFoundError):
    """A file or folder that the user named does not exist."""
