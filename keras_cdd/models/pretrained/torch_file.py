"""Reads PyTorch's files of weights, of both formats, without PyTorch and without executing code from a file.

PyTorch from a package index brings gigabytes of GPU libraries. The formats:
https://pytorch.org/docs/stable/notes/serialization.html
"""

import collections
import dataclasses
import math
import pathlib
import pickle
import pickletools
import zipfile
from typing import IO, Any

import ml_dtypes
import numpy as np

# Files before PyTorch 1.6: this number, a version, facts of the system, the objects, keys and contents of the storages.
MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
DTYPES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


def read_torch_file(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads a state dict, alone or in a checkpoint as its `state_dict` or `model`.

    Args:
        path: a .pth or .pt file of tensors in dicts, lists and tuples.

    Returns:
        Dict name -> array; bfloat16 becomes float32.

    Raises:
        pickle.UnpicklingError: if the file holds objects of other classes, or is of another kind.
    """
    with path.open("rb") as file:
        zipped = zipfile.is_zipfile(file)
        file.seek(0)
        state, storages = _zipped(file) if zipped else _plain(file)
    state = state.get("state_dict", state.get("model", state))
    return {name: value.array(storages) for name, value in state.items() if isinstance(value, _Tensor)}


@dataclasses.dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """A view into a storage; offset and strides count elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, storages: dict[str, bytes]) -> np.ndarray:
        dtype = self.storage.dtype
        flat = np.frombuffer(storages[self.storage.key], dtype)
        last = self.offset + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        if min(self.offset, *self.strides, 0) < 0 or (0 not in self.shape and last >= len(flat)):
            raise pickle.UnpicklingError("a tensor reaches beyond its storage")
        if math.prod(self.shape) > len(flat):
            # Strides of zero would let a small file ask for any amount of memory.
            raise pickle.UnpicklingError("a tensor has more elements than its storage")
        strides = [stride * dtype.itemsize for stride in self.strides]
        view = np.lib.stride_tricks.as_strided(flat[self.offset :], self.shape, strides)
        return view.astype(np.float32) if dtype == ml_dtypes.bfloat16 else view.copy()


def _tensor(storage: _Storage, offset: int, shape: tuple, strides: tuple, *_: Any) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
    """Unpickles containers of tensors; `storages` has the storages that they view, by key."""

    KNOWN = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch", "Size"): tuple,
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
        **{("torch", name): np.dtype(dtype) for name, dtype in DTYPES.items()},
    }

    def __init__(self, file: IO[bytes]):
        super().__init__(file)
        self.file = file
        self.storages: dict[str, _Storage] = {}

    def load(self) -> Any:
        start = self.file.tell()
        try:
            for before, (opcode, number, _) in enumerate(pickletools.genops(self.file)):
                # Objects are numbered as they come, and Python makes a table as long as the largest number.
                if isinstance(number, int) and opcode.name.endswith("PUT") and number > before:
                    raise pickle.UnpicklingError(f"it has number {number} of an object after {before} opcodes")
        except ValueError as error:
            raise pickle.UnpicklingError(f"it is no file of PyTorch: {error}") from None
        self.file.seek(start)
        return super().load()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.KNOWN:
            raise pickle.UnpicklingError(f"it holds a {module}.{name}, and only tensors are read")
        return self.KNOWN[module, name]

    def persistent_load(self, pid: tuple) -> _Storage:
        _, dtype, key, _, _, *view = pid
        if any(view):
            raise pickle.UnpicklingError("it holds a view of a storage, as PyTorch 0.3 wrote them")
        return self.storages.setdefault(key, _Storage(key, dtype))


def _zipped(file: IO[bytes]) -> tuple[dict, dict[str, bytes]]:
    with zipfile.ZipFile(file) as archive:
        (objects,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = objects.removesuffix("data.pkl") + "data/"
        with archive.open(objects) as pickled:
            state = _Unpickler(pickled).load()
        names = [name for name in archive.namelist() if name.startswith(folder)]
        return state, {name.removeprefix(folder): archive.read(name) for name in names}


def _plain(file: IO[bytes]) -> tuple[dict, dict[str, bytes]]:
    if _Unpickler(file).load() != MAGIC_NUMBER:
        raise pickle.UnpicklingError("it is no file of PyTorch")
    for _ in ("version", "system"):
        _Unpickler(file).load()
    objects = _Unpickler(file)
    state = objects.load()
    keys = _Unpickler(file).load()
    return state, {key: _contents(file, objects.storages[key].dtype) for key in keys}


def _contents(file: IO[bytes], dtype: np.dtype) -> bytes:
    count = int.from_bytes(file.read(8), "little")
    return file.read(count * dtype.itemsize)
