"""Small graphs, a rule or a trap each, with what is known about their sites."""

import keras
import numpy as np

from keras_cdd.layers import ChannelIndicator, GatedBasicBlock, GatedBottleneck, GeneralizedMeanPooling

L = keras.layers


def _classified(image, x):
    return keras.Model(image, L.Dense(3, name="top")(L.GlobalAveragePooling2D()(x)))


def plain():
    image = keras.Input((8, 8, 3))
    x = L.Conv2D(6, 3, activation="relu", name="a")(image)
    return _classified(image, L.BatchNormalization()(L.Conv2D(5, 1, name="b")(x)))


def depthwise():
    """A multiplier makes two channels of one, and both leave."""
    image = keras.Input((8, 8, 3))
    x = L.BatchNormalization()(L.Conv2D(6, 3, use_bias=False, name="a")(image))
    x = L.DepthwiseConv2D(3, depth_multiplier=2)(L.ReLU(6.0)(x))
    return _classified(image, L.PReLU(shared_axes=[1, 2])(L.BatchNormalization()(x)))


def grouped_as_depthwise():
    image = keras.Input((8, 8, 3))
    x = L.Conv2D(12, 3, groups=6, name="groups")(L.Conv2D(6, 3, name="a")(image))
    return _classified(image, L.Activation("silu")(x))


def separable():
    image = keras.Input((8, 8, 3))
    x = L.SeparableConv2D(6, 3, depth_multiplier=2, name="a")(image)
    return _classified(image, L.SeparableConv2D(5, 3, depth_multiplier=2, name="b")(L.ReLU()(x)))


def transposed():
    image = keras.Input((8, 8, 3))
    x = L.Conv2DTranspose(6, 3, strides=2, name="a")(image)
    return _classified(image, L.Conv2DTranspose(5, 3, name="b")(L.ReLU()(x)))


def one_dimension():
    line = keras.Input((16, 3))
    x = L.DepthwiseConv1D(3)(L.Conv1D(6, 3, activation="gelu", name="a")(line))
    x = L.Conv1DTranspose(4, 2, name="c")(L.SeparableConv1D(5, 3, name="b")(x))
    return keras.Model(line, L.Dense(2, name="top")(L.GlobalMaxPooling1D()(x)))


def three_dimensions():
    volume = keras.Input((5, 5, 5, 2))
    x = L.Conv3DTranspose(4, 2, name="b")(L.Conv3D(6, 3, activation="relu", name="a")(volume))
    return keras.Model(volume, L.Dense(2, name="top")(L.GlobalAveragePooling3D()(x)))


def flattened():
    """Every channel has four rows in the dense kernel."""
    image = keras.Input((6, 6, 3))
    x = L.Flatten()(L.MaxPooling2D(2)(L.Conv2D(6, 3, activation="relu", name="a")(image)))
    x = L.Dense(5, activation="tanh", name="b")(x)
    return keras.Model(image, L.Dense(2, name="top")(L.Dropout(0.3)(x)))


def flattened_channels_first():
    """The positions of every channel follow each other, not the channels."""
    image = keras.Input((4, 4, 3))
    x = L.Flatten(data_format="channels_first")(L.Conv2D(4, 1, activation="relu", name="a")(image))
    return keras.Model(image, L.Dense(2, name="top")(L.Dense(8, activation="relu", name="b")(x)))


def reshaped():
    """The width is in the target shapes."""
    image = keras.Input((6, 6, 3))
    x = L.Reshape((16, 6))(L.Conv2D(6, 3, name="a")(image))
    x = L.Reshape((2, 8, 6), name="back")(L.Dense(6, activation="relu", name="b")(x))
    x = L.Reshape((1, 1, 4), name="end")(L.GlobalAveragePooling2D()(L.Conv2D(4, 2, name="c")(x)))
    return keras.Model(image, L.Conv2D(2, 1, name="top")(x))


def dense_on_maps():
    image = keras.Input((6, 6, 3))
    x = L.Dense(6, activation="swish", name="a")(image)
    return _classified(image, L.Dense(5, name="b")(x))


def concatenated():
    """Offsets, a branch that is there twice, and a BatchNorm over all."""
    image = keras.Input((8, 8, 3))
    a, b = L.Conv2D(4, 3, name="a")(image), L.Conv2D(6, 3, name="b")(image)
    x = L.BatchNormalization()(L.Concatenate()([a, b, L.ReLU()(a)]))
    return _classified(image, keras.ops.concatenate([x, L.Conv2D(5, 1, name="c")(x)], axis=-1))


def squeezed():
    image = keras.Input((8, 8, 3))
    x = L.DepthwiseConv2D(3)(L.Conv2D(8, 3, name="a")(image))
    s = L.GlobalAveragePooling2D(keepdims=True)(x)
    s = L.Conv2D(8, 1, activation="sigmoid", name="excite")(L.Conv2D(2, 1, activation="relu", name="squeeze")(s))
    return _classified(image, L.Conv2D(5, 1, name="b")(L.Multiply()([x, s])))


def residual():
    image = keras.Input((8, 8, 3))
    x = L.Conv2D(6, 3, padding="same", name="stem")(image)
    for name in "ab":
        y = L.Conv2D(4, 3, padding="same", activation="relu", name=f"{name}1")(L.BatchNormalization()(x))
        x = L.Add()([x, L.Conv2D(6, 1, name=f"{name}2")(y)])
    return _classified(image, x)


def layer_normalized():
    image = keras.Input((8, 8, 3))
    x = L.LayerNormalization()(L.Conv2D(6, 1, name="stem")(image))
    return _classified(image, L.Dense(5, activation="gelu", name="b")(L.Dense(8, activation="gelu", name="a")(x)))


def nested():
    """Two layers of one name; the inner Input states the inner width; a model inside is called twice."""
    inner = keras.Input((6, 6, 6))
    backbone = keras.Model(inner, L.Conv2D(5, 1, activation="relu", name="conv")(inner), name="backbone")
    image, other = keras.Input((8, 8, 3), name="image"), keras.Input((8, 8, 3), name="other")
    conv = L.Conv2D(6, 3, activation="relu", name="conv")
    head = keras.Sequential([L.GlobalAveragePooling2D(), L.Dense(4, name="hidden"), L.Dense(2, name="top")])
    x, y = (head(backbone(conv(each))) for each in (image, other))
    return keras.Model([image, other], {"first": x, "difference": L.Subtract()([x, y])})


def normalized_input():
    """What an adapted layer divides by is outside of its weights."""
    image = keras.Input((8, 8, 3))
    x = L.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(L.Rescaling(0.5)(image))
    adapted = L.Normalization()
    adapted.adapt(np.random.default_rng(0).normal(2.0, 3.0, (64, 3)))
    x = adapted(x)
    return _classified(image, L.Conv2D(6, 3, name="a")(x))


def frozen():
    """Nothing can leave, for a reason each."""
    image = keras.Input((8, 8, 4))
    x = L.GroupNormalization(2)(L.Conv2D(8, 3, groups=2, name="grouped")(image))
    x = L.Softmax(name="over_channels")(L.Conv2D(6, 1, name="mixed")(x))
    x = L.EinsumDense("abcd,de->abce", output_shape=(6, 6, 4), name="einsum")(L.Conv2D(6, 1, name="a")(x))
    x = L.Reshape((-1, 8))(L.Conv2D(16, 1, name="shuffled")(x))
    x = L.MultiHeadAttention(2, 4, name="attention")(x, x)
    return keras.Model(image, L.Dense(2, name="top")(L.GlobalAveragePooling1D()(x)))


def indicated():
    """The indicator lists the channels of two layers."""
    image = keras.Input((8, 8, 3))
    x = L.Concatenate()([L.Conv2D(6, 3, name="a")(image), L.Conv2D(5, 3, name="c")(image)])
    x = L.ReLU()(ChannelIndicator(name="indicator")(L.BatchNormalization()(x)))
    return keras.Model(image, L.Dense(3, name="top")(GeneralizedMeanPooling()(L.Conv2D(4, 1, name="b")(x))))


def gated(indicator="dense"):
    image = keras.Input((8, 8, 3))
    x = L.Conv2D(8, 3, padding="same", name="stem")(image)
    x = GatedBasicBlock(8, 1, "both", indicator=indicator, use_bias=True, name="block")(x)
    x = GatedBottleneck(4, 2, "both", indicator=indicator, name="cut", kept_filters=[2, 3])(x)
    return _classified(image, L.Conv2D(6, 1, name="last")(x))


def gated_diagonal():
    return gated("diagonal")


def gated_stream():
    """A stem, a block that is called twice and one in a model inside are one stream; then a projection."""
    inner = keras.Input((8, 8, 8))
    backbone = keras.Model(inner, GatedBasicBlock(8, 1, "none", name="plain")(inner), name="backbone")
    image = keras.Input((8, 8, 3))
    block = GatedBasicBlock(8, 1, "both", name="block", use_bias=True)
    x = L.Conv2D(8, 3, padding="same", activation="relu", name="stem")(image)
    x = backbone(block(block(x)))
    return _classified(image, GatedBottleneck(4, 2, "conv2", name="down", stride_on="conv1")(x))


def gated_bottlenecks():
    """Two streams side by side in the input of a block without a projection."""
    image = keras.Input((8, 8, 3))
    x = L.ReLU()(L.Conv2D(6, 3, padding="same", name="stem")(image))
    a = GatedBottleneck(3, 2, "both", name="a")(x)
    c = GatedBottleneck(2, 1, "both", name="c")(GatedBottleneck(2, 2, "both", name="b")(x))
    x = GatedBottleneck(5, 1, "both", name="d")(L.Concatenate()([a, c]))
    return _classified(image, x)


@keras.saving.register_keras_serializable("tests")
class Block(L.Layer):
    """A residual block as one layer; its convolutions have the same names in every block."""

    def __init__(self, filters, inside, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.inside = filters, inside
        self.conv1 = L.Conv2D(inside, 3, padding="same", use_bias=False, name="conv1")
        self.bn1, self.relu = L.BatchNormalization(momentum=0.9, name="bn1"), L.ReLU(name="relu")
        self.conv2 = L.Conv2D(filters, 3, padding="same", use_bias=False, name="conv2")
        self.bn2 = L.BatchNormalization(momentum=0.9, name="bn2")

    def build(self, shape):
        inner = (*shape[:-1], self.inside)
        for layer, given in ((self.conv1, shape), (self.bn1, inner), (self.conv2, inner), (self.bn2, shape)):
            layer.build(given)

    def call(self, x, training=False):
        y = self.relu(self.bn1(self.conv1(x), training=training))
        return keras.ops.relu(x + 0.5 * self.bn2(self.conv2(y), training=training))

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "inside": self.inside}


def composite():
    """Two composite layers, one with another one inside that is called twice."""
    image = keras.Input((8, 8, 3))
    x = L.Conv2D(6, 3, name="stem")(image)
    x = Twice(6, 5, name="twice")(Block(6, 4, name="block")(x))
    return _classified(image, x)


@keras.saving.register_keras_serializable("tests")
class Twice(L.Layer):
    """Takes no `training`; the layers inside have it from the context."""

    def __init__(self, filters, inside, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.inside = filters, inside
        self.block = Block(filters, inside, name="inner")

    def build(self, shape):
        self.block.build(shape)

    def call(self, x):
        return self.block(self.block(x))

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "inside": self.inside}


# Builder -> (sites, sites with residual=True), site -> channels.
A_B = {"a": 6, "b": 5}
COMPOSITE = {"conv1": 4, "twice_inner_conv1": 5}
GATED = {"block/conv1": 8, "cut/conv1": 2, "cut/conv2": 3, "last": 6}
STREAM = {"block/conv1": 8, "down/conv2": 4}
BOTTLENECKS = {f"{name}/conv{i}": width for name, width in zip("abcd", (3, 2, 2, 5), strict=True) for i in (1, 2)}
SMALL = {
    plain: (A_B, A_B),
    depthwise: ({"a": 6}, {"a": 6}),
    grouped_as_depthwise: ({"a": 6}, {"a": 6}),
    separable: (A_B, A_B),
    transposed: (A_B, A_B),
    one_dimension: (A_B | {"c": 4}, A_B | {"c": 4}),
    three_dimensions: ({"a": 6, "b": 4}, {"a": 6, "b": 4}),
    flattened: (A_B, A_B),
    flattened_channels_first: ({"b": 8}, {"b": 8}),
    reshaped: ({"a": 6, "b": 6, "c": 4}, {"a": 6, "b": 6, "c": 4}),
    dense_on_maps: (A_B, A_B),
    concatenated: ({"a": 4, "b": 6, "c": 5}, {"a": 4, "b": 6, "c": 5}),
    squeezed: ({"a": 8, "b": 5}, {"a": 8, "b": 5}),
    residual: ({"a1": 4, "b1": 4}, {"stem": 6, "a1": 4, "b1": 4}),
    layer_normalized: ({"a": 8, "b": 5}, {"a": 8, "b": 5}),
    nested: ({"conv": 6, "backbone_conv": 5, "hidden": 4}, {"conv": 6, "backbone_conv": 5, "hidden": 4}),
    normalized_input: ({"a": 6}, {"a": 6}),
    frozen: ({}, {}),
    composite: (COMPOSITE, COMPOSITE | {"stem": 6}),
    indicated: ({"a": 6, "c": 5, "indicator": 11, "b": 4},) * 2,
    gated: (GATED, GATED | {"stem": 8, "cut/conv3": 16}),
    gated_diagonal: (GATED, GATED | {"stem": 8, "cut/conv3": 16}),
    gated_stream: (STREAM, STREAM | {"stem": 8, "down/conv3": 16}),
    gated_bottlenecks: (BOTTLENECKS | {"stem": 6}, BOTTLENECKS | {"stem": 6, "a/conv3": 12, "b/conv3": 8}),
}
