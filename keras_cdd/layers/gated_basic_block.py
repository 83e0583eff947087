"""The basic block of ResNet-18 and ResNet-34, with a channel indicator inside."""

import keras

from keras_cdd.layers.gated_block import GatedBlock


@keras.saving.register_keras_serializable("keras_cdd")
class GatedBasicBlock(GatedBlock):
    """`conv1-BN-indicator-ReLU, conv2-BN, + shortcut, ReLU`: the one inner width lies between the two convolutions.

    Takes the arguments of `GatedBottleneck`. The outer width is `filters`; "conv2" and "both" mean the same here: the
    indicator stands after the first convolution, since the second one's width is the block's outer width.

    Input and output: (N, H, W, C) -> (N, H / stride, W / stride, filters).
    """

    GEOMETRY = {"conv1": 3, "conv2": 3}
    EXPANSION = 1
    SITES = {"none": (), "conv2": ("conv1",), "both": ("conv1",)}
