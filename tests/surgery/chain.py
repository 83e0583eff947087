"""What surgery promises, checked link by link, for networks of every kind."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_cdd
from export.conversion.quantize import to_tflite
from export.proof.runtimes import embed_with
from keras_cdd.models import count_macs, count_params
from keras_cdd.surgery import plan_surgery, rebuild, silence
from tests.models.networks import images_for
from tests.surgery.stock import flat_outputs

L = keras.layers

# The greatest epsilon that leaves something of Adam: where gradients vanish, it would follow rounding errors.
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
    "adam": lambda: keras.optimizers.Adam(1e-3, epsilon=1e-3),
}


def in_turn(builds):
    """Parameters of a test: each network with one of `OPTIMIZERS`, in turn."""
    names = itertools.cycle(OPTIMIZERS)
    return [
        pytest.param(build, name, id=f"{build.__name__}-{name}") for build, name in zip(builds, names, strict=False)
    ]


def gradients(model, seed, training):
    images = images_for(model, 4, seed)
    with tf.GradientTape() as tape:
        outputs = keras.tree.flatten(model(images, training=training))
        loss = sum(tf.reduce_mean(tf.square(x - 0.5)) for x in outputs)
    return tape.gradient(loss, model.trainable_variables)


def step(model, optimizer, seed, training):
    optimizer.apply(gradients(model, seed, training), model.trainable_variables)


def check(model, residual, optimizer, tmp_path, training, target=0.6):
    """Trains a model, cuts it, saves and loads it, and cuts it again; returns the twice cut one.

    Args:
        model: functional model, gated or not; it is changed.
        residual: whether additions are cut too.
        optimizer: a new one.
        tmp_path: folder for the file.
        training: whether steps are taken as in training, or as in inference.
        target: fraction of the MACs that the first cut leaves.
    """
    optimizer.build(model.trainable_variables)
    for seed in (1, 2):
        step(model, optimizer, seed, training)
    slim, slim_optimizer, plan = cut_once(model, residual, optimizer, target)
    step(model, optimizer, 3, training)
    step(slim, slim_optimizer, 3, training)
    restricted, restricted_optimizer = rebuild(model, plan, optimizer=optimizer)
    assert_same(slim.weights, restricted.weights)
    # Momentum shows that the gradients are the same, however small they are.
    assert_same(slim_optimizer.variables, restricted_optimizer.variables)
    return cut_again(loaded(slim, slim_optimizer, tmp_path), residual, plan, training)


def cut_once(model, residual, optimizer, target):
    """`(slim, slim_optimizer, plan)`, with the outputs of the silenced model; the model is silenced."""
    images = images_for(model, 2)
    whole = flat_outputs(model, images)
    plan = plan_surgery(model, target_macs=target, residual=residual)
    assert target - 0.2 < plan.macs[1] / plan.full_macs <= target
    before = [weight.numpy() for weight in [*model.weights, *optimizer.variables]]
    rebuild(model, plan, optimizer=optimizer)
    for array, weight in zip(before, [*model.weights, *optimizer.variables], strict=True):
        np.testing.assert_array_equal(array, weight)
    silence(model, plan, optimizer)
    silenced = flat_outputs(model, images)
    size = np.abs(silenced).max()
    assert np.abs(whole - silenced).max() > 1e-3 * size
    assert plan_surgery(model, residual=residual).kept_filters == plan.kept_filters
    slim, slim_optimizer = rebuild(model, plan, optimizer=optimizer)
    np.testing.assert_allclose(flat_outputs(slim, images), silenced, atol=1e-5 * max(1, size))
    assert count_macs(slim) == plan.macs[1] and count_params(slim) == plan.params[1]
    return slim, slim_optimizer, plan


def loaded(model, optimizer, tmp_path):
    """The model from a file, with its optimizer."""
    model.compile(optimizer)
    model.save(tmp_path / "slim.keras")
    again, images = keras.saving.load_model(tmp_path / "slim.keras"), images_for(model, 2)
    np.testing.assert_array_equal(flat_outputs(again, images), flat_outputs(model, images))
    for ours, theirs in zip(again.optimizer.variables, optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    return again


def cut_again(slim, residual, plan, training):
    """Cuts what a first plan has left, and takes a step."""
    again = plan_surgery(slim, target_macs=0.85, residual=residual, full_widths=plan.kept_filters)
    twice, optimizer = rebuild(slim, again, optimizer=slim.optimizer)
    assert count_macs(twice) == again.macs[1] <= 0.85 * plan.macs[1]
    before = [weight.numpy() for weight in twice.trainable_variables]
    step(twice, optimizer, 4, training)
    assert any((weight.numpy() != array).any() for array, weight in zip(before, twice.trainable_variables, strict=True))
    assert np.isfinite(flat_outputs(twice, images_for(twice, 2))).all()
    return twice


def assert_same(ours, theirs):
    pairs = [(our.path, our.numpy(), their.numpy()) for our, their in zip(ours, theirs, strict=True)]
    largest = max(np.abs(their).max() for _, _, their in pairs)
    for path, our, their in pairs:
        scale = max(np.abs(their).max(), 1e-4 * largest)
        np.testing.assert_allclose(our, their, rtol=0, atol=1e-3 * scale, err_msg=path)


def all_the_way(model, residual, tmp_path, training=True, int8_error=0.1):
    """Gates, trains, cuts, saves and loads, cuts again, fuses and quantizes a network; returns the gated one.

    With dense indicators where additions stay, and with diagonal ones where they are cut.

    Args:
        model: functional model with images as its inputs, all of one shape; in float64, since BatchNorms over few
            images enlarge rounding errors.
        residual, tmp_path, training: as in `check`.
        int8_error: largest error of the int8 file, relative to the largest output.
    """
    gated = keras_cdd.gate_model(model, indicator="diagonal" if residual else "dense", residual=residual)
    images = images_for(model, 2)
    np.testing.assert_array_equal(flat_outputs(gated, images), flat_outputs(model, images))
    # Small steps: random networks change a lot with every one.
    optimizer = keras.optimizers.Adam(1e-5, epsilon=1e-3)
    twice = check(gated, residual, optimizer, tmp_path, training, target=0.5)
    fused, expected = keras_cdd.fuse(twice), flat_outputs(twice, images)
    assert all(type(layer).__module__.startswith("keras.") for layer in fused.layers)
    np.testing.assert_allclose(flat_outputs(fused, images), expected, atol=1e-4 * max(1, np.abs(expected).max()))
    runs_in_int8(fused, tmp_path / "int8.tflite", int8_error)
    return gated


def runs_in_int8(model, path, error):
    """A `.tflite` file takes one image: all inputs get it, and all outputs are side by side."""
    image = keras.Input(model.inputs[0].shape[1:])
    # Pixels become images like those that the network's statistics were taken of.
    x = L.Rescaling(1 / 73.9, -127.5 / 73.9)(image)
    outputs = keras.tree.flatten(model(keras.tree.map_structure(lambda _: x, model.input)))
    outputs = [L.Flatten()(x) for x in outputs]
    embedder = keras.Model(image, {"embedding": outputs[0] if len(outputs) == 1 else L.Concatenate()(outputs)})
    pixels = np.random.default_rng(0).integers(0, 256, (8, *image.shape[1:])).astype("uint8")
    path.write_bytes(to_tflite(embedder, "int8", images=pixels))
    found = embed_with("ai-edge-litert", path, pixels[:2])
    expected = embedder(pixels[:2].astype("float32"))["embedding"].numpy()
    assert np.isfinite(found).all() and np.abs(found - expected).max() <= error * np.abs(expected).max()
