"""Networks on small images, as users write them, each with an unusual feature."""

import keras
import numpy as np
import pytest

from keras_cdd.layers import ChannelIndicator, GatedBasicBlock, GatedBottleneck

L = keras.layers


def sequential_by_add():
    """Every `add` calls all layers again."""
    model = keras.Sequential()
    model.add(keras.Input((16, 16, 3)))
    model.add(L.Conv2D(8, 3, activation="relu"))
    model.add(L.MaxPooling2D())
    model.add(L.Conv2D(12, 3, use_bias=False))
    model.add(L.BatchNormalization())
    model.add(L.Flatten())
    model.add(L.Dense(5))
    return model


def dense_on_a_map():
    image = keras.Input((7, 7, 16))
    return keras.Model(image, L.Dense(32)(image))


def odd_layers():
    image = keras.Input((16, 16, 3))
    x = L.SeparableConv2D(8, 3, depth_multiplier=2, padding="same")(image)
    x = L.Conv2DTranspose(6, 3, strides=2, padding="same")(x)
    x = L.DepthwiseConv2D(3, strides=2, depth_multiplier=2)(x)
    x = L.BatchNormalization()(L.Conv2D(8, 3, groups=4, use_bias=False)(x))
    x = L.Reshape((-1, 8))(x)
    x = L.SeparableConv1D(4, 3)(L.Conv1D(6, 5, strides=2)(x))
    x = L.Conv1DTranspose(3, 2)(L.DepthwiseConv1D(3)(x))
    return keras.Model(image, L.Dense(2)(x))


def shared_tower():
    """A convolution and a model are called twice, on two sizes."""
    image, other = keras.Input((16, 16, 3), name="image"), keras.Input((8, 8, 3), name="other")
    tower = keras.Sequential([keras.Input((None, None, 3)), L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU()])
    last = L.Conv2D(5, 1)
    a, b = (L.GlobalAveragePooling2D()(last(tower(x))) for x in (image, other))
    return keras.Model([image, other], L.Subtract()([a, b]))


def nested():
    """Layers inside and outside of the inner model have the same name."""
    inner = keras.Input((8, 8, 4))
    backbone = keras.Model(inner, L.ReLU(name="relu")(L.Conv2D(6, 3, name="conv")(inner)), name="backbone")
    image = keras.Input((8, 8, 3))
    x = backbone(L.Conv2D(4, 1, name="conv")(image), training=False)
    return keras.Model(image, {"map": x, "sum": keras.ops.sum(L.ReLU(name="relu")(x) + 1.0, axis=(1, 2))})


def called_elsewhere():
    """The convolution has a second call, which is in no model."""
    image = keras.Input((8, 8, 3))
    conv = L.Conv2D(4, 3)
    conv(keras.Input((20, 20, 3)))
    return keras.Model(image, conv(image))


def embedding_and_logits():
    image = keras.Input((8, 8, 3))
    embedding = L.Dense(6)(L.GlobalAveragePooling2D()(L.Conv2D(4, 3)(image)))
    return keras.Model(image, {"embedding": embedding, "logits": L.Dense(100)(embedding)})


def gated():
    """Blocks of this package, one of them called twice, the others cut."""
    image = keras.Input((8, 8, 3))
    x = L.BatchNormalization()(L.Conv2D(8, 3, padding="same", use_bias=False)(image))
    block = GatedBasicBlock(8, name="shared")
    x = block(block(x))
    x = GatedBottleneck(4, stride=2, indicators="both", kept_filters=[2, 3], name="cut")(x)
    return keras.Model(image, L.Dense(3)(L.GlobalAveragePooling2D()(x)))


def gated_with_cut_outer_widths():
    """A convolution as shortcut though it changes neither size nor width, a cut stream, one block called twice."""
    image = keras.Input((8, 8, 3))
    x = L.Conv2D(5, 3, padding="same", name="stem")(image)
    x = GatedBasicBlock(8, outer_filters=5, projection=True, name="projected")(x)
    block = GatedBasicBlock(8, kept_filters=3, outer_filters=5, projection=False, name="shared")
    x = GatedBottleneck(4, 2, "both", use_bias=True, outer_filters=7, stride_on="conv1", name="down")(block(block(x)))
    return keras.Model(image, L.Dense(3)(L.GlobalAveragePooling2D()(x)))


def lone_indicators():
    """After a convolution, after its BatchNorm, after an activation, after a grouped convolution, and one shared."""
    image = keras.Input((8, 8, 3))
    x = ChannelIndicator(kept=5)(L.Conv2D(6, 3, padding="same", use_bias=False)(image))
    x = ChannelIndicator(kept=4)(L.BatchNormalization()(L.Conv2D(6, 3, padding="same")(x)))
    x = ChannelIndicator(kept=4)(L.Conv2D(8, 1, activation="relu")(x))
    x = ChannelIndicator(kept=4)(L.Conv2D(8, 1, groups=2)(x))
    shared = ChannelIndicator()
    x = shared(L.ReLU()(shared(L.ReLU()(x))))
    return keras.Model(image, L.Conv2D(3, 1)(x))


NETWORKS = {
    build.__name__: build
    for build in (
        sequential_by_add,
        dense_on_a_map,
        odd_layers,
        shared_tower,
        nested,
        called_elsewhere,
        embedding_and_logits,
        gated,
        gated_with_cut_outer_widths,
        lone_indicators,
    )
}
APPLICATIONS = {
    "MobileNetV2": lambda: keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, classes=3),
    "ConvNeXtTiny": lambda: keras.applications.ConvNeXtTiny(input_shape=(32, 32, 3), weights=None, classes=3),
}


def randomised(model, seed=0):
    """The model with every weight random, so that no BatchNorm, bias or indicator is neutral."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif weight.name in ("beta", "moving_mean", "bias"):
            weight.assign(0.3 * rng.normal(size=weight.shape))
        elif weight.name == "kernel":
            weight.assign(weight + 0.1 * rng.normal(size=weight.shape))
    return model


def images_for(model, count=2, seed=1):
    """Random float32 inputs, one array or a list as the model has inputs."""
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=(count, *x.shape[1:])).astype("float32") for x in model.inputs]
    return arrays[0] if len(arrays) == 1 else arrays


def outputs_of(model, images):
    """The flat outputs of a model as NumPy arrays, with half precision as float32."""
    tensors = keras.tree.flatten(model(images))
    half = ("float16", "bfloat16")
    return [keras.ops.convert_to_numpy(keras.ops.cast(x, "float32") if x.dtype in half else x) for x in tensors]


def cases(table, always):
    """Parameters of a table; those that `always` does not name are for `make test-applications` alone."""
    marks = {True: pytest.mark.slow, False: pytest.mark.applications}
    rows = {name: row if isinstance(row, tuple) else (row,) for name, row in table.items()}
    return [pytest.param(*row, id=name, marks=marks[name in always]) for name, row in rows.items()]
