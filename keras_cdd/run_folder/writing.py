"""Files that appear under their names whole or not at all, whatever is killed (no Keras)."""

import contextlib
import json
import os
import pathlib
import shutil


@contextlib.contextmanager
def whole(path):
    """Gives a name beside `path` to write to; what was written there becomes `path` when the block ends well.

    The new name is hidden and ends as `path` does, as libraries choose formats by endings. It reaches the disk before
    it replaces what was there. Where the block fails, `path` stays as it was.

    Args:
        path: of a file, in a folder that exists.

    Yields:
        `pathlib.Path` to write to.
    """
    path = pathlib.Path(path)
    fresh = path.with_name(f".{path.name}.new{path.suffix}")
    try:
        yield fresh
        to_disk(fresh)
        os.replace(fresh, path)
        to_disk(path.parent)
    finally:
        fresh.unlink(missing_ok=True)


def write_bytes(path, content):
    """Writes a file."""
    with whole(path) as fresh:
        fresh.write_bytes(content)


def write_text(path, text):
    """Writes a file, as UTF-8."""
    write_bytes(path, text.encode())


def write_json(path, value, indent=2):
    """Writes a value as JSON; on one line where `indent` is None."""
    write_text(path, json.dumps(value, indent=indent) + "\n")


def copy_file(source, path):
    """Copies a file's content."""
    with whole(path) as fresh:
        shutil.copyfile(source, fresh)


def save_model(path, model):
    """Saves a Keras model."""
    with whole(path) as fresh:
        model.save(fresh)


def to_disk(path):
    """Waits until the disk has a file's content, or a folder's names."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders.
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
