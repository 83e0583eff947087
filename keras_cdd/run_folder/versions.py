"""The format version that run folders and checkpoints carry."""

import json
import pathlib

from keras_cdd.errors import UserError

KEY, VERSION = "version", 1


def require_known(path: pathlib.Path, what: str, remedy: str) -> None:
    """Refuses what another version of the format has written.

    Args:
        path: a JSON file that has the version as `KEY`. Without it, and where the file cannot be read, the version is
            1, because the first runs did not write it.
        what: what the file belongs to, such as "--workdir runs/mine"; the message starts with it.
        remedy: what to do instead; the message ends with it.

    Raises:
        UserError: if the version is not `VERSION`.
    """
    try:
        facts = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return
    found = facts.get(KEY, 1) if isinstance(facts, dict) else 1
    if type(found) is not int or found != VERSION:
        raise UserError(
            f"{what} is of version {str(found)[:40]}, and this program reads version {VERSION}; continue with the "
            f"keras_cdd that wrote it, or {remedy}."
        )
