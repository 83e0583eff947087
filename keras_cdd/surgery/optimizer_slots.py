"""What an optimizer remembers of every weight, through a surgery."""

import collections
from collections.abc import Iterable, Iterator, Mapping

import keras

from keras_cdd.models.sites.find import NAMELESS
from keras_cdd.surgery.slicing import Cuts, slice_all


def slim_optimizer(
    optimizer: keras.optimizers.Optimizer,
    model: keras.Model,
    slim: keras.Model,
    cuts: Mapping[str, Cuts],
    paths: Mapping[int, str],
) -> keras.optimizers.Optimizer:
    """A new optimizer for the slim model with the old one's state, slots cut like the weights they belong to.

    Args:
        optimizer: of `model`.
        model, slim: before and after the surgery.
        cuts: path of a weight -> (axis, positions) pairs.
        paths: id of a weight of either model -> its path, the same for what comes from the same weight.
    """
    new = optimizer.__class__.from_config(optimizer.get_config())
    if not optimizer.built:
        return new
    require_slots_of_weights(optimizer, model.trainable_variables)
    new.build(slim.trainable_variables)
    old_slots, owners = _slots_by_path(optimizer, model.trainable_variables, paths)
    new_slots, _ = _slots_by_path(new, slim.trainable_variables, paths)
    sources = {name: keras.ops.convert_to_numpy(slot) for name, slot in old_slots.items()}
    slot_cuts = {name: cuts[path] for name, path in owners.items() if path in cuts and sources[name].ndim}
    sliced = slice_all(sources, slot_cuts, {name: slot.shape for name, slot in new_slots.items()})
    for name, slot in new_slots.items():
        slot.assign(sliced[name])
    return new


def require_slots_of_weights(optimizer: keras.optimizers.Optimizer, variables: Iterable[keras.Variable]) -> None:
    """Refuses an optimizer whose slots cannot be cut with the weights.

    Args:
        optimizer: built.
        variables: trainable ones that it was built for.

    Raises:
        ValueError: if it remembers an array that does not have the shape of a weight.
    """
    for name, slot, weight, _ in slots(optimizer, variables):
        if len(slot.shape) and (weight is None or tuple(slot.shape) != tuple(weight.shape)):
            kind = type(getattr(optimizer, "inner_optimizer", optimizer)).__name__
            raise ValueError(
                "Argument `optimizer` must remember arrays of the shapes of the weights, so that they can be cut "
                f"together; SGD, Adam and AdamW do. Received: {kind}, whose {name} has shape {tuple(slot.shape)}"
            )


def _slots_by_path(
    optimizer: keras.optimizers.Optimizer, variables: Iterable[keras.Variable], paths: Mapping[int, str]
) -> tuple[dict[str, keras.Variable], dict[str, str]]:
    """Slots by the paths that both models share, and name of a slot -> path of its weight."""
    found: dict[str, keras.Variable] = {}
    owners: dict[str, str] = {}
    for name, slot, weight, kind in slots(optimizer, variables):
        name = name if weight is None else f"{paths[id(weight)]}:{kind}"
        if name in found:
            raise ValueError(f"Optimizer slots need names of their own. Received: {name} twice")
        found[name] = slot
        if weight is not None:
            owners[name] = paths[id(weight)]
    return found, owners


def slots(
    optimizer: keras.optimizers.Optimizer, variables: Iterable[keras.Variable]
) -> Iterator[tuple[str, keras.Variable, keras.Variable | None, str]]:
    """(name, slot, weight that it belongs to, kind of slot) of every optimizer variable.

    Slots are matched by name, never by position: Keras calls them `<weight path with _ for />_<slot>`. One that the
    optimizer gave no name, such as Nadam's product, has that of its attribute; inside a `LossScaleOptimizer` Keras does
    not even list it.
    """
    weights: dict[str, list[keras.Variable]] = {}
    for variable in variables:
        weights.setdefault(variable.path.replace("/", "_"), []).append(variable)
    prefixes = sorted(weights, key=lambda prefix: -len(prefix))
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    attributes = {id(slot): (name, slot) for name, slot in vars(inner).items() if isinstance(slot, keras.Variable)}
    listed = {id(slot) for slot in optimizer.variables}
    unlisted = [slot for key, (_, slot) in attributes.items() if key not in listed]
    of_inner = {id(slot) for slot in [*inner.variables, *unlisted]}
    seen: collections.Counter[str] = collections.Counter()
    for slot in [*optimizer.variables, *unlisted]:
        # The first part is the optimizer's own name, which differs from one instance to the next.
        name = slot.path.split("/", 1)[-1]
        name = name if id(slot) in of_inner else f"loss_scale:{name}"
        prefix = next((prefix for prefix in prefixes if name.startswith(prefix + "_")), None)
        if prefix is None and NAMELESS.search(name) and id(slot) in attributes:
            name = attributes[id(slot)][0]
        if prefix is None:
            yield name, slot, None, ""
        else:
            # Of weights of one path the slots come in the weights' order.
            same = weights[prefix]
            yield name, slot, same[seen[name] % len(same)], name[len(prefix) + 1 :]
            seen[name] += 1
