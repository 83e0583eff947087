"""The teacher's outputs for a fixed number of views of every image, computed once for all runs with one teacher."""

import hashlib
import io
import json
import math
import os

import keras
import numpy as np

from keras_cdd.data.cache_folder import NO_SPACE, CacheFolder
from keras_cdd.data.image import file_identity

# Must be increased whenever the same teacher and views give other rows.
VERSION = 1
BATCH = 64


def teacher_views(data, views, teacher, rows):
    """The rows of all views, from the cache or computed now.

    They are kept in the folder `teachers` of the data's `cache_dir`, under a name that changes with the teacher's
    weights, the images, the augmentation, the seed and the content of a row; without `cache_dir`, or without space, in
    memory.

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
    cache = CacheFolder(data.config.cache_dir, data.config.cache_gib)
    path = cache.path / "teachers" / f"v{VERSION}_{_key(data, views, teacher, rows)}.npy"
    if (kept := _kept(path, shape)) is not None:
        return kept
    print(f"The teacher sees {views} views of {len(data.store)} images, once for all runs.", flush=True)
    try:
        cache.open(path.parent)
        why_not = cache.make_room(2 * math.prod(shape))
        if why_not is None:
            cache.write(path, _content(shape, _computed(data, views, rows)))
            return _kept(path, shape)
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        why_not = f"no space is left in {cache.path}"
    print(f"They are kept in memory, for this run: {why_not}.", flush=True)
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


def _content(shape, batches):
    """The chunks of a `.npy` file."""
    header = io.BytesIO()
    kind = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float16)), "fortran_order": False}
    np.lib.format.write_array_header_1_0(header, {**kind, "shape": shape})
    yield header.getvalue()
    for rows in batches:
        yield rows.tobytes()
