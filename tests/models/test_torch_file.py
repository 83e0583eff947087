import collections
import pathlib
import tracemalloc

import ml_dtypes
import numpy as np
import pytest

from keras_cdd.errors import UserError
from keras_cdd.models.pretrained.reading import read_weights
from tests.models.torch_files import Tensor, plain, zipped

KERNEL = np.arange(24, dtype="float32").reshape(2, 3, 4)


@pytest.mark.parametrize("write", [zipped, plain])
@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"state_dict": state, "epoch": 3}])
def test_tensors_of_both_formats(tmp_path, write, wrap):
    state = collections.OrderedDict(
        kernel=Tensor(KERNEL),
        transposed=Tensor(KERNEL.T, storage=KERNEL),
        part=Tensor(KERNEL[1], storage=KERNEL, offset=12),
        empty=Tensor(np.zeros((0, 3), "float32")),
        scalar=Tensor(np.array(7, "int64"), "LongStorage"),
        half=Tensor(np.array([0.5, -2], "float16"), "HalfStorage"),
        brain=Tensor(np.array([0.5, -2], ml_dtypes.bfloat16), "BFloat16Storage"),
    )
    # As torch.nn.Module.state_dict() has it.
    state._metadata = {"": {"version": 1}}
    write(tmp_path / "weights.pth", wrap(state))
    arrays = read_weights(tmp_path / "weights.pth")
    assert {name: str(array.dtype) for name, array in arrays.items()} == {
        **dict.fromkeys(["kernel", "transposed", "part", "empty", "brain"], "float32"),
        "scalar": "int64",
        "half": "float16",
    }
    for name, tensor in state.items():
        np.testing.assert_array_equal(arrays[name], tensor.array)


class Unknown:
    """Some class of a training script."""


@pytest.mark.parametrize("write", [zipped, plain])
@pytest.mark.parametrize("value", [Unknown(), pathlib.PurePosixPath("x"), print])
def test_other_objects_are_refused(tmp_path, write, value):
    write(tmp_path / "weights.pth", {"state_dict": {"kernel": Tensor(KERNEL)}, "arguments": value})
    with pytest.raises(UserError, match=r"cannot be read \(it holds a .*, and only tensors are read\)"):
        read_weights(tmp_path / "weights.pth")


@pytest.mark.parametrize("write", [zipped, plain])
@pytest.mark.parametrize("offset", [13, -1])
def test_a_tensor_outside_of_its_storage_is_refused(tmp_path, write, offset):
    write(tmp_path / "weights.pth", {"part": Tensor(KERNEL[1], storage=KERNEL, offset=offset)})
    with pytest.raises(UserError, match="cannot be read .*beyond its storage"):
        read_weights(tmp_path / "weights.pth")


@pytest.mark.parametrize("size", [0, 20, 200, 300])
def test_a_truncated_file_is_refused(tmp_path, size):
    plain(tmp_path / "whole.pth", {"kernel": Tensor(KERNEL)})
    whole = (tmp_path / "whole.pth").read_bytes()
    assert size < len(whole)
    (tmp_path / "weights.pth").write_bytes(whole[:size])
    with pytest.raises(UserError, match="cannot be read"):
        read_weights(tmp_path / "weights.pth")


@pytest.mark.parametrize("content", [b"no weights", b"\x80\x02K\x01."])
def test_what_is_no_file_of_pytorch_is_refused(tmp_path, content):
    (tmp_path / "weights.pt").write_bytes(content)
    with pytest.raises(UserError, match="cannot be read"):
        read_weights(tmp_path / "weights.pt")


def test_a_pickle_may_not_ask_for_any_memory(tmp_path):
    """A number of an object lets Python make a table as long as the number: here of half a GiB for ten bytes."""
    (tmp_path / "weights.pt").write_bytes(b"\x80\x02Nr\xff\xff\xff\x01.")
    tracemalloc.start()
    with pytest.raises(UserError, match="cannot be read .*number 33554431 of an object"):
        read_weights(tmp_path / "weights.pt")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 1 << 24
