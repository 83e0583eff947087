"""The weights of a model by paths that are the same in every copy and in every process."""

from keras_cdd.models.sites import own_paths


def weights_by_layer(model):
    """`<layer>/<path of the weight below it>` -> weight.

    Not `weight.path`: Keras numbers weights that a layer gave no name through all networks of a process.

    Args:
        model: `keras.Model`, whose layers have unique names.
    """
    return {f"{layer.name}/{path}": weight for layer in model.layers for path, weight in own_paths(layer).items()}
