"""Gated blocks in your own model: train, cut, rebuild with the optimizer, train on, fuse.

    python -m examples.shrink_own_model

A small classifier of noisy stripes stands in for your model and data; retrieval is not involved.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Before keras: on some processors it makes TensorFlow faster.
import keras_cdd  # isort: skip
import keras
import numpy as np


def stripes(count, seed, size=(25, 31)):
    """Images (count, *size, 3) float32 of noisy stripes in one of four directions, and the directions (count,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, count)
    y, x = np.mgrid[: size[0], : size[1]]
    angle = (labels * np.pi / 4)[:, None, None]
    waves = np.sin(0.9 * (x * np.cos(angle) + y * np.sin(angle)) + rng.uniform(0, 6, (count, 1, 1)))
    return (waves[..., None] + rng.normal(0, 1.0, (count, *size, 3))).astype("float32"), labels


def own_model():
    """A classifier with an odd image size, two branches, bottlenecks and a basic block."""
    image = keras.Input((25, 31, 3))
    x = keras.layers.Conv2D(16, 3, activation="relu")(image)
    wide = keras_cdd.GatedBottleneck(8, stride=2, indicators="both", name="wide")(x)
    deep = keras_cdd.GatedBasicBlock(32, stride=2, name="deep")(x)
    x = keras.layers.Add()([wide, deep])
    x = keras_cdd.GatedBottleneck(16, stride=2, indicators="both", name="last")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(4)(x))


def train(model, optimizer, epochs, count=2048, batch_size=64):
    """Trains on stripes; returns the accuracy (0..1) on other stripes."""
    size = model.input.shape[1:3]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # An optimizer that is built while a step is traced makes TensorFlow trace it twice.
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, loss, metrics=["accuracy"])
    model.fit(*stripes(count, 0, size), batch_size=batch_size, epochs=epochs, verbose=0)
    return model.evaluate(*stripes(count // 2, 1, size), verbose=0)[1]


def main(count=2048):
    """Trains on `count` images; returns how far outputs of the slim model and its deployed form differ."""
    keras.utils.set_random_seed(0)
    model, optimizer = own_model(), keras.optimizers.Adam(3e-3)
    print(f"heavy:  {keras_cdd.count_macs(model):>9,} MACs, accuracy {train(model, optimizer, 3, count):.3f}")
    for target in (0.6, 0.35):
        plan = keras_cdd.plan_surgery(model, target_macs=target)
        model, optimizer = keras_cdd.rebuild(model, plan, optimizer=model.optimizer)
        accuracy = train(model, optimizer, 2, count)
        print(f"slim:   {keras_cdd.count_macs(model):>9,} MACs, accuracy {accuracy:.3f}")
    print(plan)
    deploy = keras_cdd.fuse(model)
    images, _ = stripes(8, seed=2)
    change = np.abs(deploy.predict(images, verbose=0) - model.predict(images, verbose=0)).max()
    cost = f"{keras_cdd.count_macs(deploy):>9,} MACs, {deploy.count_params():,} parameters"
    print(f"fused:  {cost}, outputs within {change:.0e}")
    return change


if __name__ == "__main__":
    main()
