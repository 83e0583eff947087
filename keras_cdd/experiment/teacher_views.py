"""The teacher's outputs for a fixed number of views of every image, computed once for all runs with one teacher."""

import contextlib
import errno
import hashlib
import json
import math
import os
import pathlib
import shutil
import time
import uuid

import keras
import numpy as np

from keras_cdd.data.image import file_identity

# Must be increased whenever the same teacher and views give other rows.
VERSION = 1
BATCH = 64
# Space that is left free on the disk.
RESERVE_BYTES = 1 << 30
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# A file that is still being written after a day is left over from a run that was killed.
ABANDONED_SECONDS = 24 * 3600


def teacher_views(data, views, teacher, rows):
    """The rows of all views, from the cache or computed now.

    They are kept in the folder `teachers` of the data's `cache_dir`, under a name that changes with the teacher's
    weights, the images, the augmentation, the seed and the content of a row; without `cache_dir`, or without space, in
    memory. The files of other teachers that were not used for longest make room within `cache_gib`.

    Args:
        data: `TrainingData`.
        views: number of views of each image.
        teacher: frozen model.
        rows: its `TeacherRows`.

    Returns:
        float16 (views * images, rows.width); view v of image i has row v * images + i.
    """
    if not data.config.cache_dir:
        return np.concatenate(list(_computed(data, views, rows)))
    shape = views * len(data.store), rows.width
    folder = pathlib.Path(data.config.cache_dir).expanduser() / "teachers"
    path = folder / f"v{VERSION}_{_key(data, views, teacher, rows)}.npy"
    if (kept := _kept(path, shape)) is not None:
        return kept
    print(f"The teacher sees {views} views of {len(data.store)} images, once for all runs.", flush=True)
    if _has_room(folder, 2 * math.prod(shape), data.config.cache_gib):
        try:
            _write(path, shape, _computed(data, views, rows))
            return _kept(path, shape)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
    print(f"There is no room for them in {folder}: they are kept in memory, for this run.", flush=True)
    return np.concatenate(list(_computed(data, views, rows)))


def _computed(data, views, rows):
    """Batches of rows, in order."""
    count = views * len(data.store)
    for start in range(0, count, BATCH):
        # The last batch is filled up, so that all have one shape.
        numbers = np.arange(start, start + BATCH) % count
        yield rows.packed(data.view_images(views, numbers))[: count - start]


def _key(data, views, teacher, rows):
    content = hashlib.sha256(repr((VERSION, rows.parts, views, data.seed, data.augmentation)).encode())
    content.update(repr((tuple(data.store.image_size), keras.config.dtype_policy().name)).encode())
    content.update(json.dumps(keras.saving.serialize_keras_object(teacher), sort_keys=True, default=str).encode())
    for weight in teacher.weights:
        content.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).tobytes())
    for record in data.store.records:
        content.update(repr(file_identity(record.path) or record.path).encode())
    return content.hexdigest()


def _kept(path, shape):
    """The rows in a file as a memory map, or None."""
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
        os.utime(path)
    except (OSError, ValueError):
        return None
    return rows if rows.shape == shape and rows.dtype == np.float16 else None


def _has_room(folder, size, gib):
    """Removes the files that were not used for longest until `size` bytes fit; whether they do."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # Another run may remove it.
            status = path.stat()
            if path.suffix == ".part" and time.time() - status.st_mtime > ABANDONED_SECONDS:
                path.unlink()
            elif path.suffix == ".npy":
                files.append((status.st_mtime, status.st_size, path))
    held, limit = sum(length for _, length, _ in files), gib * (1 << 30)
    for _, length, path in sorted(files):
        if held + size <= limit:
            break
        path.unlink(missing_ok=True)
        held -= length
    return held + size <= limit and size + RESERVE_BYTES <= shutil.disk_usage(folder).free


def _write(path, shape, batches):
    """Writes the rows under a name of their own, which becomes `path` when they are all on disk."""
    part = path.with_name(f"{uuid.uuid4().hex}.part")
    try:
        with open(part, "xb") as file:
            header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float16)), "fortran_order": False}
            np.lib.format.write_array_header_1_0(file, {**header, "shape": shape})
            for rows in batches:
                file.write(rows.tobytes())
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
