"""A tiny network that embeds 16x16 images, and files made from it."""

import keras
import numpy as np
import pytest

SIZE, LENGTH = (16, 16), 8


def tiny_network(pooling="avg"):
    """A fused network: stock layers, both kinds of shortcut, a head whose BatchNorms have seen data."""
    layers = keras.layers
    keras.utils.set_random_seed(0)
    image = keras.Input((*SIZE, 3), name="image")
    x = layers.Rescaling(1 / 127.5, -1.0)(image)
    x = layers.ReLU()(layers.Conv2D(6, 3, strides=2, bias_initializer="normal")(layers.ZeroPadding2D(1)(x)))
    shortcut = x
    x = layers.ReLU()(layers.Conv2D(4, 3, padding="same")(x))
    x = layers.ReLU()(layers.Add()([layers.Conv2D(6, 1)(x), shortcut]))
    shortcut = layers.Conv2D(10, 1, strides=2)(x)
    x = layers.ReLU()(layers.Conv2D(4, 3, strides=2, padding="same")(x))
    x = layers.ReLU()(layers.Add()([layers.Conv2D(10, 1)(x), shortcut]))
    if pooling == "avg":
        x = layers.GlobalAveragePooling2D()(x)
    else:
        x = keras.ops.power(keras.ops.mean(keras.ops.power(keras.ops.maximum(x, 1e-6), 3.0), axis=(1, 2)), 1 / 3)
    x = layers.ReLU()(layers.BatchNormalization(name="bn1")(x))
    x = layers.BatchNormalization(name="bn2")(layers.Dense(LENGTH, use_bias=False)(x))
    model = keras.Model(image, {"embedding": x})
    rng = np.random.default_rng(0)
    for name in ("bn1", "bn2"):
        bn = model.get_layer(name)
        # Scale, shift, mean, variance.
        lowest = (0.5, -1.0, -0.1, 0.5)
        bn.set_weights([rng.uniform(low, 1.5, weight.shape) for low, weight in zip(lowest, bn.weights, strict=True)])
    return model


def branched_network():
    """A network of 16x16 images with concatenations: a block of a DenseNet and one of an Inception network."""
    layers = keras.layers
    keras.utils.set_random_seed(0)
    image = keras.Input((*SIZE, 3), name="image")
    x = layers.ReLU()(layers.Conv2D(6, 3, strides=2, padding="same")(layers.Rescaling(1 / 127.5, -1.0)(image)))
    new = layers.Conv2D(4, 3, padding="same")(layers.ReLU()(layers.BatchNormalization()(x)))
    x = layers.Concatenate()([x, new])
    branches = [layers.ReLU()(layers.Conv2D(4, size, padding="same")(x)) for size in (1, 3)]
    x = layers.Concatenate()([*branches, layers.MaxPooling2D(3, 1, padding="same")(x)])
    return keras.Model(image, {"embedding": layers.Dense(LENGTH)(layers.GlobalAveragePooling2D()(x))})


@pytest.fixture(scope="session", autouse=True)
def twenty_timed_calls():
    """A latency of twenty calls instead of two seconds."""
    from export.proof.runtimes import latency_ms

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latency_ms, "__defaults__", (0.0,))
        yield


@pytest.fixture(scope="session")
def network():
    return tiny_network()


@pytest.fixture(scope="session")
def photos():
    """Smooth random pictures, uint8 (24, 16, 16, 3)."""
    return np.random.default_rng(1).integers(0, 256, (24, 4, 4, 3), np.uint8).repeat(4, axis=1).repeat(4, axis=2)


@pytest.fixture(scope="session")
def tiny_tflite(network, photos, tmp_path_factory):
    """An int8 file with metadata, as `export.to_tflite` writes it: uint8 images (N, 16, 16, 3) to embeddings (N, 8)."""
    from export.conversion.integer_form import integer_form
    from export.conversion.metadata import with_metadata
    from export.conversion.quantize import to_tflite

    path = tmp_path_factory.mktemp("model") / "model_int8.tflite"
    path.write_bytes(with_metadata(to_tflite(integer_form(network), "int8", "uint8", photos), "tiny", "for tests"))
    return path


def cosines(a, b):
    """Of rows, (N, D) both."""
    return np.sum(a * b, 1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def assert_best(paths, similarities, expected, tolerance=1e-6):
    """Checks that a ranking contains the most similar images, best first; near ties may be in either order.

    Args:
        paths, similarities: of the ranking.
        expected: path -> similarity, of the whole gallery.
    """
    assert len(set(paths)) == len(paths)
    np.testing.assert_allclose(similarities, [expected[path] for path in paths], rtol=0, atol=tolerance)
    best = sorted(expected.values(), reverse=True)[: len(paths)]
    np.testing.assert_allclose(similarities, best, rtol=0, atol=tolerance)


def similarities_in(gallery, embedding):
    """Path -> similarity of a unit vector (D,) to each image of a `Gallery`, in float64."""
    vectors, paths = gallery.vectors(), list(gallery.labels())
    rows = vectors.stored.astype(np.float64) * vectors.scales[:, None]
    return dict(zip(paths, rows @ embedding.astype(np.float64), strict=True))
