"""Activation maps: where a network responds, laid over the photo."""

import keras
import matplotlib
import numpy as np
from PIL import Image

SIDE = 128


def activation_maps(model, images):
    """Pictures of the mean square over channels, for the last feature map and one of at least twice its height.

    Args:
        model: functional Keras model of images in 0..255.
        images: uint8 (N, H, W, 3), of the model's input size.

    Returns:
        Layer name -> pictures uint8 (N, height, width, 3) with a longer side of 128 pixels; empty if the model has no
        feature maps of fixed size.
    """
    taps = _taps(model)
    if not taps:
        return {}
    outputs = keras.Model(model.inputs[0], list(taps.values()))(images.astype(np.float32), training=False)
    outputs = [keras.ops.convert_to_numpy(output).astype(np.float32) for output in outputs]
    return {name: np.stack(list(map(_overlay, images, maps))) for name, maps in zip(taps, outputs, strict=True)}


def _taps(model):
    """Layer name -> feature map: the last one and, if there is one, the last one of at least twice its height."""
    maps = {}
    for operation in model.operations:
        output = operation.output
        if isinstance(output, keras.KerasTensor) and len(output.shape) == 4 and None not in output.shape[1:]:
            maps[operation.name] = output
    if not maps:
        return {}
    last = list(maps)[-1]
    finer = [name for name, output in maps.items() if output.shape[1] >= 2 * maps[last].shape[1]][-1:]
    return {name: maps[name] for name in (*finer, last)}


def _overlay(image, features):
    """The photo in grey, blended with the map in colour; bright means strong."""
    energy = np.mean(features**2, axis=-1)
    energy = (energy - energy.min()) / max(float(np.ptp(energy)), 1e-12)
    size = tuple(max(1, round(side * SIDE / max(image.shape[:2]))) for side in image.shape[1::-1])
    energy = np.asarray(Image.fromarray(energy).resize(size, Image.Resampling.BICUBIC)).clip(0, 1)
    grey = np.asarray(Image.fromarray(image).convert("L").resize(size, Image.Resampling.BICUBIC))[..., None]
    colour = 255 * matplotlib.colormaps["inferno"](energy)[..., :3]
    return (0.4 * grey + 0.6 * colour).astype(np.uint8)
