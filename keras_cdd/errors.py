"""Mistakes of the person who runs a command: shown as one line."""


class UserError(ValueError):
    """Something that the user can mend; the message names the thing and the remedy.

    Commands print the message alone and end with status 1. Every other exception is a fault of the program and shows
    its traceback.
    """


class MissingFileError(UserError, FileNotFoundError):
    """A file or folder that the user named is not there."""
