"""The weights of a student by which the channels of its sites take effect."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import tensorflow as tf

from keras_cdd.annotations import Tensor
from keras_cdd.layers.conv_unit import ConvUnit
from keras_cdd.models.sites import Sites
from keras_cdd.replicas import local


class Effects:
    """Scales channels in place: at their indicator, and in all weights that read them unless the indicator suffices.

    Args:
        kernels: site -> variable (1, 1, rows, channels), the kernels of the indicators.
        readers: site -> `Reader`s, of sites whose readers are to be scaled.

    Attributes:
        kernels: as above.
    """

    def __init__(self, kernels: Mapping[str, Any], readers: Mapping[str, list["Reader"]]) -> None:
        self.kernels = dict(kernels)
        self._readers = dict(readers)

    @classmethod
    def of_units(cls, units: Mapping[str, ConvUnit]) -> Self:
        """Of the indicators in gated blocks."""
        return cls({site: unit.indicator.kernel for site, unit in units.items()}, {})

    @classmethod
    def of_sites(cls, sites: Sites) -> Self:
        """Of all sites of a model."""
        kernels = {name: sites.variables[site.indicator] for name, site in sites.items() if site.indicator is not None}
        readers = {
            name: [
                Reader(sites.variables[slot.path], slot.axis, slot.positions)
                for slot in site.effects
                if slot.path != site.indicator
            ]
            for name, site in sites.items()
        }
        return cls(kernels, readers)

    def scale(self, site: str, factors: Tensor) -> None:
        """Multiplies the channels of a site by (rows, channels) factors, by (1, channels) without a dense indicator."""
        if site in self.kernels:
            kernel = self.kernels[site]
            kernel.assign(kernel * factors)
        # A channel leaves when all entries of its column do.
        for reader in self._readers.get(site, ()):
            reader.scale(tf.reduce_max(factors, axis=0))

    def masked(self, weight: Any, gradient: Tensor, gone: Mapping[str, Any]) -> Tensor:
        """The gradient of a weight, with zeros where it reads channels that are gone.

        Args:
            weight: trainable variable of the student.
            gradient: of the weight's shape, or None.
            gone: site -> variable (channels,), 1 for channels that are gone.
        """
        for site, channels in gone.items():
            for reader in self._readers[site]:
                if reader.weight is weight and gradient is not None:
                    gradient = gradient * reader.along(1.0 - tf.convert_to_tensor(local(channels)))
        return gradient

    def held_by_readers(self) -> list[str]:
        """Names of the sites whose channels have no effect only while the weights that read them are zero."""
        return [site for site, readers in self._readers.items() if readers]


class Reader:
    """A weight that reads channels along one of its axes.

    Args:
        weight: Keras variable.
        axis: from 0.
        positions: (channels, n), where the channels are along the axis.

    Attributes:
        weight: as above.
    """

    def __init__(self, weight: Any, axis: int, positions: np.ndarray) -> None:
        self.weight = weight
        self._shape = [length if place == axis else 1 for place, length in enumerate(weight.shape)]
        # 0 for what no channel of the site reads, else the number of the channel from 1.
        self._numbers = np.zeros(weight.shape[axis], int)
        self._numbers[positions] = 1 + np.arange(len(positions))[:, None]

    def along(self, factors: Tensor) -> Tensor:
        """(channels,) factors in a shape that multiplies the weight; 1 for what reads other channels."""
        entries = tf.gather(tf.concat([[1.0], factors], axis=0), self._numbers)
        return tf.cast(tf.reshape(entries, self._shape), self.weight.dtype)

    def scale(self, factors: Tensor) -> None:
        """Multiplies the weight by (channels,) factors along the axis."""
        factor = self.along(factors)
        if tf.distribute.get_strategy().num_replicas_in_sync == 1 or tf.distribute.get_replica_context() is None:
            self.weight.assign(self.weight * factor)
            return

        def on_all(strategy: Any, variable: Any, factor: Any) -> None:
            strategy.extended.update(variable, lambda copy, by: copy.assign(copy * by), args=(factor,))

        tf.distribute.get_replica_context().merge_call(on_all, args=(self.weight.value, factor))
