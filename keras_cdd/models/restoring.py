"""Makes an operation again from its config, functions included that Keras cannot name."""

import inspect
import random
import types
import warnings
from typing import Any

import keras
import numpy as np

from keras_cdd.models.graph import all_layers

# What every layer takes; an `__init__` without `**kwargs` takes only some of it.
_COMMON = ("name", "trainable", "dtype")


def config_of(operation: keras.Operation) -> dict[str, Any]:
    """The config of an operation, for a copy that is given the weights of the original.

    Functions and objects that are not of Keras, such as a lambda as activation, stand in it as themselves: by its name,
    Keras might not find one, or find another one. Initializers that may know the shape of their weight become zeros,
    since the copy can be narrower.

    Raises:
        Exception: whatever `get_config` raises.
    """
    with warnings.catch_warnings():
        # The file format of Keras cannot hold it safely, but this config goes into no file.
        warnings.filterwarnings("ignore", message=".*includes a `lambda`")
        config = dict(operation.get_config())
    for name in config:
        value = getattr(operation, name, None)
        if name.endswith("_initializer"):
            if is_foreign(value) or np.ndim(getattr(value, "value", 0)):
                config[name] = "zeros"
        elif is_foreign(value) and getattr(value, "__self__", None) is not operation:
            config[name] = value
    return config


def restored(operation: keras.Operation, config: dict[str, Any]) -> keras.Operation:
    """An operation of the same class, without weights; `config` is that of `config_of`, or one with other widths.

    Layers and functions inside a wrapper need not be registered.

    Raises:
        Exception: whatever the class raises if the config does not restore it.
    """
    with keras.saving.custom_object_scope(_inside(operation)):
        return _made(type(operation), config)


def why_not_restored(operation: keras.Operation) -> str | None:
    """In words why an operation's config does not restore it; None if it does."""
    state = random.getstate()  # New layers draw seeds.
    try:
        restored(operation, config_of(operation))
        return None
    except Exception as error:
        # A user's class may fail in any way.
        reason = str(error).strip().split("\n", 1)[0][:200]
        return (
            f"{operation.name} ({type(operation).__name__}) cannot be copied, since its config does not restore it "
            f"({type(error).__name__}: {reason}). Give it a `get_config` with all that its `__init__` takes, and "
            "register it and the functions that it uses with `keras.saving.register_keras_serializable`."
        )
    finally:
        random.setstate(state)


def _made(kind: type[keras.Operation], config: dict[str, Any]) -> keras.Operation:
    parameters = inspect.signature(kind.__init__).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return kind.from_config(config)
    later = {key: config[key] for key in _COMMON if key in config and key not in parameters}
    operation = kind.from_config({key: value for key, value in config.items() if key not in later})
    for key, value in later.items():
        if key == "dtype":
            operation.dtype_policy = keras.dtype_policies.get(value)
        else:
            setattr(operation, key, value)
    return operation


def _inside(operation: keras.Operation) -> dict[str, Any]:
    """Name -> class or function, of what is not of Keras in the layers inside a layer."""
    found: dict[str, Any] = {}
    layers = list(all_layers(operation)) if isinstance(operation, keras.layers.Layer) else []
    for layer in layers:
        # Keras wraps methods, such as `build`, for every layer.
        own = (value for name, value in vars(layer).items() if not hasattr(type(layer), name))
        things: list[Any] = [value for value in own if isinstance(value, types.FunctionType)]
        for thing in (type(layer), *things):
            if is_foreign(thing) and found.setdefault(thing.__name__, thing) is not thing:
                raise ValueError(f"Layers inside it use different things of the name {thing.__name__}")
    return found


def is_foreign(value: Any) -> bool:
    """Whether it is a class, a function or something else to call, without weights, that is not of Keras."""
    if not callable(value):
        return False
    is_named = isinstance(value, (type, types.FunctionType, types.MethodType))
    if not is_named and getattr(value, "variables", None):
        return False
    source = value if is_named else type(value)
    return source.__module__.split(".", 1)[0] != "keras"
