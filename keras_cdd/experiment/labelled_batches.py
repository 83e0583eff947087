"""Batches `(inputs, labels)` for a model, from arrays or a `tf.data.Dataset`."""

from typing import Any

import keras
import tensorflow as tf

from keras_cdd.models.graph import ends


def labelled_batches(data: Any, model: keras.Model, batch_size: int) -> tf.data.Dataset:
    """Makes batches whose inputs have the structure of the model's.

    Args:
        data: `(x, y)` arrays, which are shuffled, or a `tf.data.Dataset` of batches `(x, y)`. For several inputs, `x`
            is a sequence in their order or a dict by their names.
        model: functional model or built `Sequential`.
        batch_size: for arrays.

    Raises:
        ValueError: if the elements are not pairs, or the names are not those of the model's inputs.
    """
    declared = ends(model)[0]
    if not isinstance(data, tf.data.Dataset):
        x, y = data
        # A list of arrays would become one tensor.
        x = tuple(x) if isinstance(x, list) and keras.tree.is_nested(declared) else x
        images = tf.data.Dataset.from_tensor_slices((x, y))
        data = images.shuffle(min(len(images), 10_000), reshuffle_each_iteration=True).batch(batch_size)
    spec = data.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2:
        raise ValueError(f"Argument `data` must have batches `(x, y)`. Received: batches of {spec}")
    if not isinstance(spec[0], dict):
        return data
    names = _names(declared)
    if set(names) != set(spec[0]):
        raise ValueError(
            f"Argument `data` must name the inputs {', '.join(sorted(names))} of the model. "
            f"Received: inputs {', '.join(sorted(map(str, spec[0])))}"
        )
    if isinstance(declared, dict):
        return data
    return data.map(lambda x, y: (x[names[0]] if len(names) == 1 else tuple(x[name] for name in names), y))


def number_of(batches: tf.data.Dataset) -> int:
    """Number of batches.

    Raises:
        ValueError: if it is not known.
    """
    length = int(batches.cardinality())
    if length < 1:
        raise ValueError("A data set without a known length needs `steps_per_epoch`. Received: steps_per_epoch=None")
    return length


def _names(declared: Any) -> list[str]:
    return list(declared) if isinstance(declared, dict) else [x.name for x in keras.tree.flatten(declared)]
