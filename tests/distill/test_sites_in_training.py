"""Parts of training on the sites of stock models: gates, features, fading."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cdd.distill import ChannelFade, Distiller, FisherScore
from keras_cdd.distill.taps import Taps
from keras_cdd.layers import FeatureRecorder
from keras_cdd.losses import LossWeights
from keras_cdd.models.sites import sites
from tests.models.networks import images_for
from tests.models.sites.small import SMALL, gated, residual
from tests.surgery.stock import alive

STOCK = [build for build, (found, _) in SMALL.items() if found and build is not gated]
NO_LOSSES = LossWeights(identity=0.0, triplet=0.0, logit=0.0, feature=0.0, embedding=0.0, relation=0.0)


def task(labels, outputs, taught):
    return sum(tf.reduce_mean((tf.cast(x, tf.float32) - 0.5) ** 2) for x in keras.tree.flatten(outputs))


def batches(model, steps=1):
    images = images_for(model, 4)
    return tf.data.Dataset.from_tensors((images, np.zeros(4, "int32"))).repeat(steps)


@pytest.mark.parametrize("build", STOCK, ids=lambda build: build.__name__)
def test_gates_are_a_factor_on_what_reads_a_channel(build):
    """A factor g on all weights that read a channel: d loss / dg at g = 1 is the sum of weight x gradient."""
    model = alive(build())
    found = sites(model, residual=True)
    images, taps = images_for(model, 4), Taps(found)
    with tf.GradientTape() as tape, FeatureRecorder(True, tape, gates_of_inputs=True) as recorder:
        outputs = taps(images, training=False)
        loss = task(None, outputs, None)
    for ours, theirs in zip(keras.tree.flatten(outputs), keras.tree.flatten(model(images)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    readers = {slot.path: found.variables[slot.path] for site in found.values() for slot in site.effects}
    gates, gradients = tape.gradient(loss, [recorder.gates, {path: weight.value for path, weight in readers.items()}])
    derivatives = taps.by_site(gates)
    assert derivatives.keys() == found.keys()
    for name, site in found.items():
        expected = np.zeros(site.channels)
        for slot in site.effects:
            products = np.moveaxis((readers[slot.path] * gradients[slot.path]).numpy(), slot.axis, 0)
            expected += products.reshape(len(products), -1).sum(1)[slot.positions].sum(1)
        assert np.abs(expected).max() > 0
        ours = derivatives[name].numpy().sum(0)
        np.testing.assert_allclose(ours, expected, atol=1e-4 * np.abs(expected).max(), err_msg=name)


def test_a_step_gathers_the_score_of_every_image():
    """The square of what every image alone would give; statistics are those of inference."""
    model = alive(residual())
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    found = sites(model, residual=True)
    fisher = FisherScore({name: site.channels for name, site in found.items()})
    distiller = Distiller(model, weights=NO_LOSSES, parts=[fisher], own_losses={"task": (1.0, task)}, sites=found)
    distiller.compile(keras.optimizers.SGD(0.0))
    distiller.fit(batches(model), verbose=0, shuffle=False)
    expected, taps = {name: 0.0 for name in found}, Taps(found)
    for image in images_for(model, 4):
        with tf.GradientTape() as tape, FeatureRecorder(with_gates=True, tape=tape) as recorder:
            loss = task(None, taps(image[None], training=False), None)
        for name, gradient in taps.by_site(tape.gradient(loss, recorder.gates)).items():
            expected[name] = expected[name] + gradient.numpy()[0] ** 2
    assert float(fisher.images) == 4
    for name, sums in fisher.sums.items():
        np.testing.assert_allclose(sums, expected[name], rtol=1e-3, atol=1e-5 * expected[name].max(), err_msg=name)


def test_what_reads_leaving_channels_falls_to_zero_and_is_held_there():
    model = alive(residual())
    found = sites(model, residual=True)
    name, site = next(iter(found.items()))
    fade = ChannelFade({site_name: (1, s.channels) for site_name, s in found.items()}, held=found)
    distiller = Distiller(model, weights=NO_LOSSES, parts=[fade], own_losses={"task": (1.0, task)}, sites=found)
    distiller.compile(keras.optimizers.SGD(0.0))
    staying = {site_name: np.ones((1, s.channels), bool) for site_name, s in found.items()}
    staying[name][0, 1] = False
    readers = [(found.variables[slot.path], slot) for slot in site.effects]
    before = [weight.numpy() for weight, _ in readers]

    def rows(arrays):
        return [
            np.moveaxis(array, slot.axis, 0)[slot.positions[1]]
            for array, (_, slot) in zip(arrays, readers, strict=True)
        ]

    fade.start(staying, steps=2)
    for share in (0.5, 0.0):
        distiller.fit(batches(model), verbose=0, shuffle=False)
        for row, old in zip(rows([weight.numpy() for weight, _ in readers]), rows(before), strict=True):
            np.testing.assert_allclose(row, share * old, atol=1e-7)
    for (weight, slot), array in zip(readers, before, strict=True):
        ours, theirs = (np.delete(np.moveaxis(a, slot.axis, 0), slot.positions[1], 0) for a in (weight.numpy(), array))
        np.testing.assert_array_equal(ours, theirs)
    fade.hold(staying)
    fade.cuts_are_over()
    distiller.compile(keras.optimizers.SGD(0.1))
    distiller.fit(batches(model, 2), verbose=0, shuffle=False)
    assert not fade.finished and not any(row.any() for row in rows([weight.numpy() for weight, _ in readers]))
    assert any((weight.numpy() != array).any() for (weight, _), array in zip(readers, before, strict=True))


def test_features_of_equal_sites_are_compared():
    student, teacher = alive(residual()), alive(residual(), seed=1)
    found = sites(student)
    weights = LossWeights(identity=0.0, triplet=0.0, logit=0.0, feature=1.0, embedding=0.0, relation=0.0)
    distiller = Distiller(student, teacher, weights, own_losses={"task": (1.0, task)}, sites=found)
    distiller.compile(keras.optimizers.SGD(0.0))
    logs = distiller.fit(batches(student), verbose=0, shuffle=False).history
    pooled = []
    for model, training in ((teacher, False), (student, True)):
        with FeatureRecorder() as recorder:
            Taps(sites(model), found)(images_for(student, 4), training=training)
        pooled.append(recorder.convolution)
    assert pooled[0].keys() == found.keys()
    expected = sum(np.linalg.norm(pooled[0][n] - pooled[1][n], axis=1).mean() for n in found)
    assert logs["feature_loss"][0] == pytest.approx(expected, rel=1e-4)
