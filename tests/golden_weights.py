"""Golden arrays under torch's names and layouts, brought to ours."""

import numpy as np

from keras_cdd.models.pretrained.authors import SCHEME


def nhwc(x):
    return x.transpose(0, 2, 3, 1)


def hwio(kernel):
    return kernel.transpose(2, 3, 1, 0)


def set_block_weights(block, data, prefix):
    """Fills a block named `stage1_block1` from `<prefix>conv1.conv.weight` and so on."""
    for weight in block.weights:
        array = data[prefix + torch_name(weight)]
        weight.assign(SCHEME.convert(np.asarray(array), weight.path))


def torch_name(weight):
    return SCHEME.keys([weight.path])[weight.path].removeprefix("stage1.0.")
