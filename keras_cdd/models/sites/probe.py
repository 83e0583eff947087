"""What an operation without weights does to channels: it is asked, not looked up."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_cdd.models.call import Call
from keras_cdd.models.restoring import is_foreign

# Sizes of the small inputs. What fails on them is tried on the sizes of the graph.
WIDTH, SIDE = 6, 8


@dataclasses.dataclass(frozen=True)
class Answer:
    """How an operation treats channels.

    Attributes:
        channel_wise: it commutes with a selection of channels.
        keeps_zero: a channel that is zero in all inputs is zero in the output.
        multiplies: it is zero where it is zero in a certain one of several inputs.
        absorbs: it is zero where it is zero in any one of several inputs.
    """

    channel_wise: bool
    keeps_zero: bool = False
    multiplies: bool = False
    absorbs: bool = False


class Probe:
    """Asks operations, each kind once."""

    def __init__(self) -> None:
        self._answers: dict[Any, Answer] = {}

    def __call__(self, call: Call) -> Answer:
        """The `Answer` of a call whose inputs have as many channels as its only output, or one."""
        key = _key(call)
        if key is None:
            return _ask(call)
        if key not in self._answers:
            self._answers[key] = _ask(call)
        return self._answers[key]

    def activation(self, function: Callable[[Any], Any] | None) -> Answer:
        """The same for an activation function."""
        if function is None or function is keras.activations.linear:
            return Answer(True, keeps_zero=True)
        if isinstance(function, keras.layers.Layer) and (function.weights or not function.built):
            return Answer(False)
        if id(function) not in self._answers:
            self._answers[id(function)] = _compare(lambda x: function(x[0]), [_noise((2, WIDTH))], [True])
        return self._answers[id(function)]


def _key(call: Call) -> Any:
    """What calls with the same answer have in common; None where the config may not tell all."""
    operation = call.operation
    if not type(operation).__module__.startswith("keras.") or any(map(_is_unknown, vars(operation).values())):
        return None
    try:
        config = {name: value for name, value in operation.get_config().items() if name not in ("name", "trainable")}
    except NotImplementedError:
        return None
    leaves = keras.tree.flatten((call.args, call.kwargs))
    if any(hasattr(x, "shape") and not isinstance(x, keras.KerasTensor) for x in leaves):
        return None
    tensors = keras.tree.map_structure(_without_tensors, (call.args, call.kwargs))
    keys = [id(x) for x in call.inputs]
    return (
        type(operation),
        str(config),
        str(tensors),
        str(_small_shapes(call)),
        str([keys.index(key) for key in keys]),
    )


def _is_unknown(value: Any) -> bool:
    """Whether it may compute something: a config names a function, and others may have its name."""
    return isinstance(value, keras.layers.Layer) or is_foreign(value)


def _without_tensors(x: Any) -> Any:
    return "tensor" if isinstance(x, keras.KerasTensor) else x


def _small_shapes(call: Call) -> list[list[int]]:
    width = call.output.shape[-1]
    return [
        [2, *(min(side or SIDE, SIDE) for side in x.shape[1:-1]), WIDTH if x.shape[-1] == width else 1]
        for x in call.inputs
    ]


def _graph_shapes(call: Call) -> list[list[int]]:
    return [[x.shape[0] or 2, *(side or 2 * SIDE for side in x.shape[1:])] for x in call.inputs]


def _ask(call: Call) -> Answer:
    wide = [x.shape[-1] == call.output.shape[-1] for x in call.inputs]
    keys = [id(x) for x in call.inputs]

    def run(arrays: list[Any]) -> Any:
        args, kwargs = call.arguments(dict(zip(keys, arrays, strict=True)))
        kwargs = {name: value for name, value in kwargs.items() if name not in ("mask", "training")}
        return call.operation(*args, **kwargs)

    for shapes in (_small_shapes(call), _graph_shapes(call)):
        # A tensor that is given twice is one array.
        arrays = {key: _noise(shape, seed) for seed, (key, shape) in enumerate(zip(keys, shapes, strict=True))}
        answer = _compare(run, [arrays[key] for key in keys], wide)
        if answer.channel_wise:
            return answer
    return answer


def _compare(run: Callable[[list[Any]], Any], arrays: list[np.ndarray], wide: list[bool]) -> Answer:
    def computed(change: Callable[[np.ndarray], np.ndarray], changed: list[bool]) -> np.ndarray:
        given = [change(x) if this else x for x, this in zip(arrays, changed, strict=True)]
        return keras.ops.convert_to_numpy(run([keras.ops.convert_to_tensor(x) for x in given]))

    width = arrays[wide.index(True)].shape[-1]
    keep = np.arange(width)[1::2] if width > 3 else np.arange(1)
    try:
        whole = computed(lambda x: x, wide)
        part = computed(lambda x: x[..., keep], wide)
        # A root of a negative number is none; nothing is known where there is no number at all.
        if part.shape != whole[..., keep].shape or np.isnan(whole).all():
            return Answer(False)
        if not np.allclose(whole[..., keep], part, atol=1e-5, equal_nan=True):
            return Answer(False)
        keeps_zero = not np.any(computed(np.zeros_like, wide))
        different = {id(array): array for this, array in zip(wide, arrays, strict=True) if this}.values()
        one_zero = ([array is zero for array in arrays] for zero in different)
        absorbing = [not np.any(computed(np.zeros_like, changed)) for changed in one_zero]
        return Answer(True, keeps_zero, multiplies=any(absorbing), absorbs=all(absorbing))
    except Exception:
        # Whatever an operation cannot do with half of the channels, it could not do after a surgery.
        return Answer(False)


def _noise(shape: Any, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")
