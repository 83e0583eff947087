"""The bottleneck block of ResNet-50 and deeper, with channel indicators inside."""

import keras

from keras_cdd.layers.gated_block import GatedBlock


@keras.saving.register_keras_serializable("keras_cdd")
class GatedBottleneck(GatedBlock):
    """`conv1-BN-ReLU, conv2-BN-indicator-ReLU, conv3-BN, + shortcut, ReLU` (CDD, figure 2).

    Args:
        filters: inner width of the uncut block; the outer width is 4 x `filters`.
        stride: 2 halves height and width.
        indicators: "conv2" (one indicator after the 3x3 convolution, as in the paper), "both" (another one after
            conv1, so that the 3x3 convolution can lose inputs too) or "none" (the plain block).
        kept_filters: channels kept at the indicators, in order; all by default. An int stands for one indicator.
        kept_channels: what surgery kept, `{"conv2": {"inputs": [...], "outputs": [...]}}`, as indices into the uncut
            block; `kept_filters` then follows from it.
        stride_on: "conv2" (torchvision, the default) or "conv1" (keras.applications).
        use_bias: whether convolutions have a bias before their BatchNorm.
        epsilon, momentum: of the BatchNorms.

    Input and output: (N, H, W, C) -> (N, H / stride, W / stride, 4 x filters).

    Raises:
        ValueError: for an unknown `indicators` or widths outside the block.
    """

    GEOMETRY = {"conv1": 1, "conv2": 3, "conv3": 1}
    EXPANSION = 4
    SITES = {"none": (), "conv2": ("conv2",), "both": ("conv1", "conv2")}
