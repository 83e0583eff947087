"""Parts of training on the sites of stock models: gates, features, fading."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cdd.distill import ChannelFade, Distiller, FisherScore
from keras_cdd.distill.effects import Effects
from keras_cdd.distill.site_pairs import SitePairs
from keras_cdd.distill.taps import Taps
from keras_cdd.layers import FeatureRecorder
from keras_cdd.losses import LossWeights
from keras_cdd.models import gate_model
from keras_cdd.models.sites import cut_sites, sites
from keras_cdd.surgery import plan_surgery, rebuild
from tests.models.networks import images_for
from tests.models.sites.small import SMALL, gated, gated_diagonal, residual
from tests.surgery.stock import alive

STOCK = [build for build, (found, _) in SMALL.items() if found and build not in (gated, gated_diagonal)]
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
    distances = {n: np.linalg.norm(pooled[0][n] - pooled[1][n], axis=1) for n in found}
    expected = sum((distances[n] / np.linalg.norm(pooled[0][n], axis=1)).mean() for n in found)
    assert logs["feature_loss"][0] == pytest.approx(expected, rel=1e-4)


def activated():
    """Activations are part of the layers, as in a VGG."""
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, activation="relu", name="a")(image)
    x = keras.layers.Conv2D(5, 3, activation="relu", name="b")(x)
    return keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize("indicator", ["dense", "diagonal"])
def test_features_are_the_same_channels_with_indicators_and_after_cuts(indicator):
    """Of equal weights they are equal, however many channels have left."""
    teacher = alive(activated())
    student = gate_model(teacher, indicator=indicator)
    images = images_for(teacher, 4)
    for cuts, kept in enumerate(([1, 2, 4, 5], [0, 3])):
        found = cut_sites(student).with_full_widths({"a": 6, "b": 5})
        pairs = SitePairs(found, cut_sites(teacher))
        records = []
        for model_sites, training in ((cut_sites(teacher), False), (found, True)):
            with FeatureRecorder() as record:
                Taps(model_sites, pairs.names)(images, training=training)
            records.append(record)
        taught, learnt = pairs(*records, {})
        assert pairs.names == ["a", "b"]
        for ours, theirs, site in zip(learnt, taught, found.values(), strict=True):
            assert ours.shape[1] == site.channels
            # Behind a cut, the second convolution lacks inputs.
            if site.name == "a" or cuts == 0:
                np.testing.assert_allclose(ours, theirs, atol=1e-5)
                length = np.linalg.norm(records[0].convolution[site.name], axis=1, keepdims=True)
                np.testing.assert_allclose(records[1].indicator[site.name], ours * length, rtol=1e-5, atol=1e-5)
        importance = {"a": np.isin(np.arange(found["a"].channels), kept) + 0.0}
        student = rebuild(student, plan_surgery(student, importance_threshold=0.5, importance=importance))


def test_a_network_of_large_outputs_does_not_outweigh_other_losses():
    """The same network in another unit: the loss is relative, and at most the share that the channels have."""
    teacher = alive(activated())
    student = keras.models.clone_model(teacher)
    found = cut_sites(student)
    pairs = SitePairs(found, cut_sites(teacher))
    outputs = {name: tf.random.stateless_normal((4, site.channels), (0, 1)) for name, site in found.items()}
    zeros = {name: tf.zeros_like(x) for name, x in outputs.items()}
    for unit in (1.0, 1000.0):
        taught, learnt = pairs(_record(outputs, unit), _record(zeros, unit), {"a": tf.constant([0.0] * 5 + [1.0])})
        first, second = (np.linalg.norm(x, axis=1) for x in taught)
        assert (first < 1).all() and not taught[0].numpy()[:, 5].any()
        np.testing.assert_allclose(second, 1, rtol=1e-6)
        assert not any(x.numpy().any() for x in learnt)
    taught, _ = pairs(_record(zeros, 1.0), _record(outputs, 1.0), {})
    assert all(np.isfinite(x).all() for x in taught)


def _record(outputs, unit):
    record = FeatureRecorder()
    record.convolution |= {name: x * unit for name, x in outputs.items()}
    return record


def test_a_gate_where_no_loss_reads_scores_nothing():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, name="a")(image)
    unused = keras.layers.Conv2D(5, 3, name="b")(x)
    pooled = keras.layers.GlobalAveragePooling2D
    model = alive(keras.Model(image, [keras.layers.Dense(2)(pooled()(y)) for y in (x, unused)]))
    found = sites(model)
    fisher = FisherScore({name: site.channels for name, site in found.items()})
    first = {"task": (1.0, lambda labels, outputs, taught: task(labels, outputs[0], taught))}
    distiller = Distiller(model, weights=NO_LOSSES, parts=[fisher], own_losses=first, sites=found)
    distiller.compile(keras.optimizers.SGD(0.01))
    distiller.fit(batches(model), verbose=0, shuffle=False)
    assert not fisher.sums["b"].numpy().any() and fisher.sums["a"].numpy().all()


class Composite(keras.layers.Layer):
    """Its layers learn of training from the call that is under way."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.bn = keras.layers.BatchNormalization()

    def build(self, shape):
        self.bn.build(shape)

    def call(self, x):
        return self.bn(x)


def test_layers_inside_layers_learn_that_they_train():
    image = keras.Input((8, 8, 3))
    x = Composite()(keras.layers.Conv2D(6, 3, name="a")(image))
    # The outer call decides, as it does in a functional model.
    x = keras.layers.BatchNormalization()(x, training=False)
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))
    images = images_for(model, 4)
    for training in (True, False):
        ours = Taps(sites(model))(images, training=training)
        np.testing.assert_allclose(ours, model(images, training=training), atol=1e-6)


def test_dropout_drops_out():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, name="a")(image)
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.Dropout(0.9)(keras.layers.Flatten()(x))))
    images, taps = images_for(model, 4), Taps(sites(model))
    assert np.abs(taps(images, training=True) - model(images)).max() > 1e-3
    np.testing.assert_allclose(taps(images, training=False), model(images), atol=1e-6)


def test_inputs_may_be_named():
    shapes = {"zebra": (4,), "ant": (4,)}
    inputs = [keras.Input(shape, name=name) for name, shape in shapes.items()]
    x = keras.layers.Dense(3, activation="relu", name="a")(keras.layers.Subtract()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    given = {name: np.random.default_rng(i).normal(size=(2, 4)) for i, name in enumerate(shapes)}
    np.testing.assert_allclose(Taps(sites(model))(given), model(given), atol=1e-6)


def test_gradients_of_what_reads_gone_channels_are_zero():
    """Else they would count in the norm that gradients are clipped to."""
    model = alive(residual())
    found = sites(model, residual=True)
    name, site = next(iter(found.items()))
    effects = Effects.of_sites(found)
    gone = {name: tf.constant([1.0] + [0.0] * (site.channels - 1))}
    for slot in site.effects:
        weight = found.variables[slot.path]
        masked = np.moveaxis(effects.masked(weight, tf.ones_like(weight), gone).numpy(), slot.axis, 0)
        assert not masked[slot.positions[0]].any() and np.delete(masked, slot.positions[0], 0).all()
