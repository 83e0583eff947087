"""Layers: channel indicator, gated residual blocks, pooling and embedding head."""

from keras_cdd.layers.channel_indicator import ChannelIndicator
from keras_cdd.layers.conv_shape import ConvShape
from keras_cdd.layers.diagonal_indicator import DiagonalIndicator
from keras_cdd.layers.embedding_head import embedding_head
from keras_cdd.layers.feature_recorder import FeatureRecorder
from keras_cdd.layers.fused_batch_normalization import FusedBatchNormalization
from keras_cdd.layers.gated_basic_block import GatedBasicBlock
from keras_cdd.layers.gated_block import GatedBlock
from keras_cdd.layers.gated_bottleneck import GatedBottleneck
from keras_cdd.layers.pooling import GeneralizedMeanPooling

__all__ = [
    "ChannelIndicator",
    "ConvShape",
    "DiagonalIndicator",
    "FeatureRecorder",
    "FusedBatchNormalization",
    "GatedBasicBlock",
    "GatedBlock",
    "GatedBottleneck",
    "GeneralizedMeanPooling",
    "embedding_head",
]
