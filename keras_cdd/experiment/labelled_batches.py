"""Batches `(inputs, labels)` for a model, from arrays or a `tf.data.Dataset`."""

from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from keras_cdd.data.pipeline import untuned
from keras_cdd.models.graph import ends


def labelled_batches(data: Any, model: keras.Model, batch_size: int, argument: str = "data") -> tf.data.Dataset:
    """Makes batches whose inputs have the structure of the model's.

    Args:
        data: `(x, y)` arrays, which are shuffled, or a `tf.data.Dataset` of batches `(x, y)`. For several inputs, `x`
            is a sequence in their order or a dict by their names.
        model: functional model or built `Sequential`.
        batch_size: for arrays.
        argument: what errors call `data`; "data" by default.

    Raises:
        ValueError: if `data` is something else, the elements are not pairs, or number, names or shapes of the inputs
            are not those of the model's.
    """
    declared = ends(model)[0]
    if not isinstance(data, tf.data.Dataset):
        data = _of_arrays(data, declared, batch_size, argument)
    spec = data.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2:
        raise ValueError(f"Argument `{argument}` must have batches `(x, y)`. Received: batches of {spec}")
    if isinstance(spec[0], dict):
        data = _by_name(data, declared, argument)
    _require_inputs(data.element_spec[0], declared, argument)
    return data


def number_of(batches: tf.data.Dataset) -> int:
    """Number of batches.

    Raises:
        ValueError: if it is not known.
    """
    length = int(batches.cardinality())
    if length < 1:
        raise ValueError("A data set without a known length needs `steps_per_epoch`. Received: steps_per_epoch=None")
    return length


def _of_arrays(data: Any, declared: Any, batch_size: int, argument: str) -> tf.data.Dataset:
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        kind = f"a {type(data).__name__}" + (f" of {len(data)}" if isinstance(data, (tuple, list)) else "")
        raise ValueError(
            f"Argument `{argument}` must be arrays `(x, y)` or a `tf.data.Dataset` of batches `(x, y)`. "
            f"Received: {kind}"
        )
    x, y = data
    # A list of arrays would become one tensor.
    x = tuple(x) if isinstance(x, list) and keras.tree.is_nested(declared) else x
    lengths = [*_lengths(x), *_lengths(y)]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"Argument `{argument}` must have a label for every image. Received: arrays of {lengths} entries"
        )
    images = tf.data.Dataset.from_tensor_slices((x, y))
    return untuned(images.shuffle(min(len(images), 10_000), reshuffle_each_iteration=True).batch(batch_size))


def _lengths(arrays: Any) -> Iterator[int]:
    if isinstance(arrays, (tuple, dict)):
        for part in arrays.values() if isinstance(arrays, dict) else arrays:
            yield from _lengths(part)
    else:
        yield len(arrays)


def _by_name(data: tf.data.Dataset, declared: Any, argument: str) -> tf.data.Dataset:
    given, names = data.element_spec[0], _names(declared)
    if set(names) != set(given):
        raise ValueError(
            f"Argument `{argument}` must name the inputs {', '.join(sorted(names))} of the model. "
            f"Received: inputs {', '.join(sorted(map(str, given)))}"
        )
    if isinstance(declared, dict):
        return data
    return data.map(lambda x, y: (x[names[0]] if len(names) == 1 else tuple(x[name] for name in names), y))


def _names(declared: Any) -> list[str]:
    return list(declared) if isinstance(declared, dict) else [x.name for x in keras.tree.flatten(declared)]


def _require_inputs(spec: Any, declared: Any, argument: str) -> None:
    """Refuses batches that the model would not take as they are."""
    if isinstance(declared, dict) and isinstance(spec, dict):
        pairs = [(spec[name], x) for name, x in declared.items()]
    else:
        given, wanted = keras.tree.flatten(spec), keras.tree.flatten(declared)
        if len(given) != len(wanted):
            raise ValueError(f"Argument `{argument}` must have {len(wanted)} inputs. Received: {len(given)}")
        pairs = list(zip(given, wanted, strict=True))
    for one, x in pairs:
        shape, wanted = one.shape, tuple(x.shape)
        if shape.rank is None or _fit(_without_last_one(shape[1:]), _without_last_one(wanted[1:])):
            continue
        if _fit(shape, wanted[1:]):
            raise ValueError(
                f"Argument `{argument}` must have batches, `dataset.batch(32)` makes them. "
                f"Received: single inputs of shape {tuple(shape)}"
            )
        raise ValueError(
            f"Argument `{argument}` must have batches of shape {wanted} for the input {x.name!r}. "
            f"Received: batches of shape {tuple(shape)}"
        )


def _without_last_one(shape: Any) -> tuple[int | None, ...]:
    """Keras takes (N,) where a model has (N, 1), and the other way round."""
    return tuple(shape[:-1]) if len(shape) and shape[-1] == 1 else tuple(shape)


def _fit(given: Any, wanted: Any) -> bool:
    pairs = zip(given, wanted, strict=False)
    return len(given) == len(wanted) and all(None in pair or pair[0] == pair[1] for pair in pairs)
