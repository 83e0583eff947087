"""The gated blocks of a Keras model, and the convolutions inside that carry an indicator."""

import keras
import numpy as np

from keras_cdd.layers import GatedBlock
from keras_cdd.layers.conv_unit import ConvUnit
from keras_cdd.models.graph import all_layers


def gated_blocks(model: keras.Model) -> list[GatedBlock]:
    """Every gated block of a model, nested models included, in order.

    Raises:
        ValueError: if two blocks share a name, so that their sites could not be told apart.
    """
    blocks = [layer for layer in all_layers(model) if isinstance(layer, GatedBlock)]
    names = [block.name for block in blocks]
    if len(set(names)) < len(names):
        raise ValueError(f"Gated blocks need names of their own. Received: {sorted(names)}")
    return blocks


def gated_units(model: keras.Model) -> dict[str, ConvUnit]:
    """Site name -> `ConvUnit`, for every indicator of the model."""
    return {site: unit for block in gated_blocks(model) for site, unit in block.gated_units.items()}


def units_by_site(model: keras.Model) -> dict[str, ConvUnit]:
    """Site name -> `ConvUnit`, for every inner convolution of the blocks, with an indicator or without."""
    return {block.site(unit): unit for block in gated_blocks(model) for unit in block.inner}


def indicator_kernels(model: keras.Model) -> dict[str, np.ndarray]:
    """Site name -> indicator kernel as a matrix (inputs, outputs)."""
    return {site: keras.ops.convert_to_numpy(unit.indicator.kernel)[0, 0] for site, unit in gated_units(model).items()}
