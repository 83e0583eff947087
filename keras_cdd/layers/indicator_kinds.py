"""The kinds of channel indicators."""

from keras_cdd.layers.channel_indicator import ChannelIndicator
from keras_cdd.layers.diagonal_indicator import DiagonalIndicator

INDICATOR_KINDS = {"dense": ChannelIndicator, "diagonal": DiagonalIndicator}
