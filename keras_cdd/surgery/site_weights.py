"""What the weights at stock sites say about channels: how large they are, and which have no effect."""

import keras
import numpy as np

from keras_cdd.models.sites import ADDED, MADE, READ, Site, Sites, Slot


def producer_norms(sites: Sites) -> dict[str, np.ndarray]:
    """Site -> (channels,): L2 norm of the kernels that make a channel, of all producers together, without biases."""
    norms = {}
    for name, site in sites.items():
        kernels = [slot for slot in site.slots if slot.role == MADE and len(sites.variables[slot.path].shape) > 1]
        norms[name] = np.sqrt(sum(_squares(sites, slot) for slot in kernels))
    return norms


def living_channels(sites: Sites) -> dict[str, np.ndarray]:
    """Site -> bool (channels,): False where a channel can leave and no output changes at all.

    That is where all that reads it has only zeros for it; or where it is made as zero, nothing is added on the way,
    and it stays zero until it is read.
    """
    return {name: _is_read(sites, site) & _is_something(sites, site) for name, site in sites.items()}


def _is_read(sites: Sites, site: Site) -> np.ndarray:
    readers = [slot for slot in site.slots if slot.role == READ]
    return _any(sites, readers) if readers else np.ones(site.channels, bool)


def _is_something(sites: Sites, site: Site) -> np.ndarray:
    if not site.keeps_zero:
        return np.ones(site.channels, bool)
    return _any(sites, [slot for slot in site.slots if slot.role in (MADE, ADDED)])


def _any(sites: Sites, slots: list[Slot]) -> np.ndarray:
    return np.any([_squares(sites, slot) != 0 for slot in slots], axis=0)


def _squares(sites: Sites, slot: Slot) -> np.ndarray:
    """(channels,): sums of the squares of all entries of a channel."""
    array = np.moveaxis(keras.ops.convert_to_numpy(sites.variables[slot.path]).astype(np.float64), slot.axis, 0)
    return (array**2).reshape(len(array), -1).sum(axis=1)[slot.positions].sum(axis=1)
