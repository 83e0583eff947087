"""Removes the files of an earlier run, except those that the next run reads."""

import pathlib


def remove_but(paths, keep):
    """Removes files and folders, except those in `keep` and the folders that contain them.

    Args:
        paths: files and folders to remove; those that do not exist are ignored.
        keep: files and folders to keep, with their content. A folder that contains a path of `paths` does not protect
            that path, because a workdir may be inside the folder of a data set.
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
