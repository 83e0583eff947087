"""Writes files completely or not at all, even if the process is killed or the power fails (no Keras)."""

import contextlib
import json
import os
import pathlib
import shutil

from keras_cdd.run_folder import lock


@contextlib.contextmanager
def whole(path):
    """Context manager that yields a temporary path, which replaces `path` if the block succeeds.

    The temporary file is hidden, in the same folder, and has the same suffix, because libraries choose formats by
    suffix. It is flushed to disk before it replaces `path`. If the block fails, `path` stays unchanged. Processes that
    write the same file take turns; what a killed one left is overwritten by the next.

    Args:
        path: path of a file in an existing folder.

    Yields:
        `pathlib.Path` to write to.
    """
    path = pathlib.Path(path)
    fresh = path.with_name(f".{path.name}.new{path.suffix}")
    with _turn(fresh):
        try:
            yield fresh
            to_disk(fresh)
            os.replace(fresh, path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        # Now the name may be that of the next writer's file.
        to_disk(path.parent)


@contextlib.contextmanager
def _turn(fresh):
    """Waits until no other process writes this temporary file."""
    while True:
        with fresh.open("ab") as file:
            try:
                mine = lock.fcntl is None or lock.take(file, fresh, wait=True)
            except OSError as error:
                if error.errno not in lock.WITHOUT_LOCKS:
                    raise
                mine = True
            if mine:
                yield
                return


def append_line(path, line):
    """Appends a line to a text file, which is made if it is missing, and flushes it to disk.

    It starts a line of its own even if the last one is not whole because its writer was killed.

    Args:
        path: path of a file in an existing folder.
        line: text without a line break.
    """
    path = pathlib.Path(path)
    is_new = not path.exists()
    with path.open("ab+") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            line = line if file.read() == b"\n" else f"\n{line}"
        file.write(f"{line}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        to_disk(path.parent)


def make_folder(path):
    """Makes a folder, and those that it is in, unless it exists; a power cut does not undo that."""
    path = pathlib.Path(path).absolute()
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        to_disk(path.parent)


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
