"""The gated blocks of a Keras model, and their convolutions with an indicator."""

import keras
import numpy as np

from keras_cdd.layers import GatedBlock
from keras_cdd.layers.conv_unit import ConvUnit
from keras_cdd.models.graph import all_layers


def gated_blocks(model: keras.Model) -> list[GatedBlock]:
    """List of all gated blocks of a model, including those in nested models, in order.

    Raises:
        ValueError: if two blocks have the same name, which would make their sites ambiguous.
    """
    blocks = [layer for layer in all_layers(model) if isinstance(layer, GatedBlock)]
    names = [block.name for block in blocks]
    if len(set(names)) < len(names):
        raise ValueError(f"Gated blocks must have unique names. Received: {sorted(names)}")
    return blocks


def gated_units(model: keras.Model) -> dict[str, ConvUnit]:
    """Name of the site -> `ConvUnit`, for every indicator of the model."""
    return {site: unit for block in gated_blocks(model) for site, unit in block.gated_units.items()}


def units_by_site(model: keras.Model) -> dict[str, ConvUnit]:
    """Name of the site -> `ConvUnit`, for every inner convolution of the blocks, with or without an indicator."""
    return {block.site(unit): unit for block in gated_blocks(model) for unit in block.inner}


def indicator_kernels(model: keras.Model) -> dict[str, np.ndarray]:
    """Name of the site -> indicator kernel as a NumPy matrix (inputs, outputs), of a diagonal one (1, outputs)."""
    return {site: keras.ops.convert_to_numpy(unit.indicator.kernel)[0, 0] for site, unit in gated_units(model).items()}
