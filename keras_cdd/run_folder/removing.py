"""Removing what an earlier run left, but never what the next one reads."""

import pathlib


def remove_but(paths, keep):
    """Removes files and folders except those that are to be kept, and the folders around these.

    Args:
        paths: what to remove; what does not exist is passed over.
        keep: files and folders that stay, with all that is in them. One that lies around a path of `paths` does not
            protect it: a data set's folder may hold a workdir.
    """
    kept = {pathlib.Path(path).resolve() for path in keep}
    for path in paths:
        _remove(pathlib.Path(path), kept)


def _remove(path, kept):
    if path.resolve() in kept:
        return
    if path.is_dir() and not path.is_symlink():
        for inner in path.iterdir():
            _remove(inner, kept)
        if not any(path.iterdir()):
            path.rmdir()
    else:
        path.unlink(missing_ok=True)
