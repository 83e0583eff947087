"""The bottleneck block of ResNet-50 and deeper, with channel indicators inside."""

import keras

from keras_cdd.layers.gated_block import GatedBlock


@keras.saving.register_keras_serializable("keras_cdd")
class GatedBottleneck(GatedBlock):
    """`conv1-BN-ReLU, conv2-BN-indicator-ReLU, conv3-BN, + shortcut, ReLU` (CDD, figure 2).

    A fresh block computes the same as the block without indicators.

    Args:
        filters: inner width of the uncut block; the outer width is 4 x `filters`.
        stride: 1 (the default), or 2 to halve height and width.
        indicators: "conv2" (the default): one indicator after the 3x3 convolution, as in the paper. "both": a second
            one after conv1, so that the 3x3 convolution can lose inputs, too. "none": the plain block.
        kept_filters: number of channels kept at each indicator, in order, or an int for a single indicator. Default:
            all.
        kept_channels: what surgery kept, `{"conv2": {"inputs": [...], "outputs": [...]}}`, as sorted indices into the
            uncut block. Replaces `kept_filters`.
        stride_on: convolution with the stride: "conv2" (the default, as in torchvision) or "conv1" (as in
            keras.applications).
        use_bias: whether the convolutions have a bias in front of their BatchNorm. Default: False.
        epsilon, momentum: of the BatchNorms. Default: 1e-5 and 0.9 (torch's 0.1).
        outer_filters: output channels, where surgery cut them. Default: 4 x `filters`.
        projection: True for a shortcut with a convolution, False for the identity. Default: None, the identity where
            input and output have the same shape. Surgery states it, since widths may become equal that were not.
        indicator: "dense" (the default): `ChannelIndicator`s, 1x1 convolutions, as in the paper. "diagonal":
            `DiagonalIndicator`s, a factor a channel, which take less time.
        **kwargs: of `keras.layers.Layer`.

    Input and output shape: (N, H, W, C) -> (N, ceil(H / stride), ceil(W / stride), outer_filters).

    Raises:
        ValueError: if `indicators` or `indicator` is unknown, `filters` or `stride` is below 1, `kept_filters`,
            `kept_channels` or `outer_filters` does not fit the block, or an identity shortcut does not fit its input.
    """

    GEOMETRY = {"conv1": 1, "conv2": 3, "conv3": 1}
    EXPANSION = 4
    SITES = {"none": (), "conv2": ("conv2",), "both": ("conv1", "conv2")}
