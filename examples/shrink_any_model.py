"""A functional Keras model: train it, and shrink it while it trains.

    python -m examples.shrink_any_model

A small residual network of stock layers and noisy stripes stand in for your model and data. There are no gated blocks,
no teacher and no retrieval; `residual=True` cuts the widths that additions join, too.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Before keras: on some processors it makes TensorFlow faster.
import keras_cdd  # isort: skip
import keras
import numpy as np

from examples.shrink_own_model import stripes

L = keras.layers


def convolution(x, width, stride=1):
    x = L.Conv2D(width, 3, strides=stride, padding="same", use_bias=False)(x)
    return L.BatchNormalization(momentum=0.9)(x)


def your_model():
    image = keras.Input((25, 31, 3))
    x = L.ReLU()(convolution(image, 16))
    x = L.ReLU()(L.Add()([x, convolution(L.ReLU()(convolution(x, 16)), 16)]))
    shortcut = L.Conv2D(32, 1, strides=2, padding="same")(x)
    x = L.ReLU()(L.Add()([shortcut, convolution(L.ReLU()(convolution(x, 32, 2)), 32)]))
    return keras.Model(image, L.Dense(4)(L.GlobalAveragePooling2D()(x)))


def main():
    """Returns the accuracy of the slim model, the share of MACs kept, and how far its fused form differs from it."""
    keras.utils.set_random_seed(0)
    model = your_model()
    print(keras_cdd.sites(model, residual=True))
    full = keras_cdd.count_macs(model)
    slim, history = keras_cdd.fit_shrinking(
        model,
        stripes(1024, seed=0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.Adam(3e-3),
        epochs=6,
        target_macs=0.4,
        residual=True,
        num_cuts=4,
        validation_data=stripes(512, seed=1),
        metrics=["accuracy"],
    )
    deploy = keras_cdd.fuse(slim)
    images, _ = stripes(8, seed=2)
    change = np.abs(deploy.predict(images, verbose=0) - slim.predict(images, verbose=0)).max()
    kept, accuracy = keras_cdd.count_macs(deploy) / full, history["val_accuracy"][-1]
    print(f"{100 * kept:.1f} % of the MACs, accuracy {accuracy:.3f}; fused: outputs within {change:.0e}")
    return accuracy, kept, change


if __name__ == "__main__":
    main()
