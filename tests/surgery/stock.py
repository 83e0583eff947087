"""Stock networks with signals that live, so that a surgery's mistakes show."""

import keras
import numpy as np

from keras_cdd.models.graph import all_layers
from tests.models.networks import images_for


def alive(model, seed=0):
    """The model with random scales and biases, and BatchNorm statistics of a real batch.

    Fresh networks carry nearly no signal to their end: whatever is cut there, no output changes.
    """
    rng = np.random.default_rng(seed)
    scales = {id(layer.gamma) for layer in all_layers(model) if type(layer).__name__ == "LayerScale"}
    norms = [layer for layer in all_layers(model) if isinstance(layer, keras.layers.BatchNormalization)]
    for weight in model.weights:
        if weight.name == "gamma" or id(weight) in scales:
            weight.assign(rng.uniform(0.7, 1.3, weight.shape))
        elif weight.name in ("beta", "bias"):
            weight.assign(rng.normal(0, 0.1, weight.shape))
        elif weight.name == "kernel" and not norms:
            weight.assign(1.5 * weight)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    model(images_for(model, 32), training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return model


def flat_outputs(model, images):
    return np.concatenate([keras.ops.convert_to_numpy(x).ravel() for x in keras.tree.flatten(model(images))])
