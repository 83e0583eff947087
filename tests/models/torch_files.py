"""Writes files as PyTorch's documentation describes them, in both formats, without PyTorch."""

import collections
import contextlib
import io
import pickle
import sys
import types
import unittest.mock
import zipfile

import numpy as np

from keras_cdd.models.pretrained.torch_file import DTYPES, MAGIC_NUMBER

STORAGES = {name: type(name, (), {"__module__": "torch"}) for name in DTYPES}


def _rebuild_tensor_v2():
    """Stands for PyTorch's function of this name; only its name gets into a file."""


_rebuild_tensor_v2.__module__ = "torch._utils"


class Tensor:
    """An array that is pickled as a tensor: a view of `storage` (by default its own), from `offset` on."""

    def __init__(self, array, kind="FloatStorage", storage=None, offset=0):
        self.array, self.kind, self.offset = array, kind, offset
        self.storage = array if storage is None else storage
        self.key = str(id(self.storage))


@contextlib.contextmanager
def _modules():
    torch = types.ModuleType("torch")
    vars(torch).update(STORAGES)
    utils = types.ModuleType("torch._utils")
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    with unittest.mock.patch.dict(sys.modules, {"torch": torch, "torch._utils": utils}):
        yield


class _Storage:
    def __init__(self, tensor):
        self.tensor = tensor


class _Pickler(pickle.Pickler):
    def __init__(self, file, *view):
        super().__init__(file, protocol=2)
        self.view, self.storages = view, {}

    def persistent_id(self, value):
        if not isinstance(value, _Storage):
            return None
        tensor = value.tensor
        self.storages[tensor.key] = np.ascontiguousarray(tensor.storage)
        return ("storage", STORAGES[tensor.kind], tensor.key, "cpu", tensor.storage.size, *self.view)

    def reducer_override(self, value):
        if not isinstance(value, Tensor):
            return NotImplemented
        strides = tuple(stride // value.array.itemsize for stride in value.array.strides)
        hooks = collections.OrderedDict()
        return _rebuild_tensor_v2, (_Storage(value), value.offset, value.array.shape, strides, False, hooks)


def zipped(path, state):
    """Writes `state` as PyTorch 1.6 and later do."""
    pickled = io.BytesIO()
    pickler = _Pickler(pickled)
    with _modules(), zipfile.ZipFile(path, "w") as archive:
        pickler.dump(state)
        archive.writestr("weights/data.pkl", pickled.getvalue())
        for key, storage in pickler.storages.items():
            archive.writestr(f"weights/data/{key}", storage.tobytes())


def plain(path, state):
    """Writes `state` as PyTorch before 1.6 does."""
    with _modules(), path.open("wb") as file:
        for fact in (MAGIC_NUMBER, 1001, {"protocol_version": 1001, "little_endian": True}):
            pickle.dump(fact, file, protocol=2)
        pickler = _Pickler(file, None)
        pickler.dump(state)
        pickle.dump(sorted(pickler.storages), file, protocol=2)
        for key in sorted(pickler.storages):
            file.write(pickler.storages[key].size.to_bytes(8, "little") + pickler.storages[key].tobytes())
