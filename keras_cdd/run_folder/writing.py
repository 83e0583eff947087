"""Writes files completely or not at all, even if the process is killed (no Keras)."""

import contextlib
import json
import os
import pathlib
import shutil


@contextlib.contextmanager
def whole(path):
    """Context manager that yields a temporary path, which replaces `path` if the block succeeds.

    The temporary file is hidden, in the same folder, and has the same suffix, because libraries choose formats by
    suffix. It is flushed to disk before it replaces `path`. If the block fails, `path` stays unchanged.

    Args:
        path: path of a file in an existing folder.

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
    """Writes bytes to a file."""
    with whole(path) as fresh:
        fresh.write_bytes(content)


def write_text(path, text):
    """Writes text to a file, as UTF-8."""
    write_bytes(path, text.encode())


def write_json(path, value, indent=2):
    """Writes a value as JSON, indented by `indent` spaces (2 by default), or on one line if `indent` is None."""
    write_text(path, json.dumps(value, indent=indent) + "\n")


def copy_file(source, path):
    """Copies the content of file `source` to file `path`."""
    with whole(path) as fresh:
        shutil.copyfile(source, fresh)


def save_model(path, model):
    """Saves a Keras model."""
    with whole(path) as fresh:
        model.save(fresh)


def to_disk(path):
    """Flushes the content of a file, or the entries of a folder, to disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders.
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
