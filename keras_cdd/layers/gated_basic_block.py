"""The basic block of ResNet-18 and ResNet-34, with a channel indicator inside."""

import keras

from keras_cdd.layers.gated_block import GatedBlock


@keras.saving.register_keras_serializable("keras_cdd")
class GatedBasicBlock(GatedBlock):
    """`conv1-BN-indicator-ReLU, conv2-BN, + shortcut, ReLU` (He et al., CVPR 2016, with an indicator).

    Takes the arguments of `GatedBottleneck`, with two differences: the uncut outer width is `filters`, and the stride
    is on "conv1" by default. The width between the two convolutions is the only inner width, so `indicators="conv2"`
    and `"both"` both mean one indicator after conv1.

    Input and output shape: (N, H, W, C) -> (N, ceil(H / stride), ceil(W / stride), outer_filters).

    Raises:
        ValueError: as `GatedBottleneck`.
    """

    GEOMETRY = {"conv1": 3, "conv2": 3}
    EXPANSION = 1
    SITES = {"none": (), "conv2": ("conv1",), "both": ("conv1",)}
