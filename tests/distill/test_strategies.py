"""The training step on two replicas, with unequal parts of a batch, equals the step on one."""

import pytest

SETUP = """
import numpy as np
import keras
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from keras_cdd.data.share import Share
from keras_cdd.distill import ChannelFade, CompressionRule, Distiller, EmbeddingQueue, FisherScore, GradientReset
from keras_cdd.distill.strategies import for_replicas
from keras_cdd.layers import GatedBasicBlock
from keras_cdd.losses import LossWeights
from keras_cdd.models import BACKBONES, gated_resnet
from keras_cdd.optimization import MomentumSGD
from keras_cdd.models.gated_units import gated_units
from keras_cdd.models.sites import sites

# A block of either kind of shortcut: enough for the rules, and traced in half of the time.
BACKBONES["both_shortcuts"] = (GatedBasicBlock, (2, 1, 0, 0))
# Seven images: three for the first of two replicas, four for the other.
IMAGES = np.random.default_rng(0).uniform(0, 255, (7, 8, 8, 3)).astype("float32")
LABELS = np.array([0, 0, 1, 1, 0, 1, 1], "int32")


def batches(images=IMAGES):
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    share = Share(0, replicas, replicas)

    def part(number):
        first, end = share.bounds(number, len(images))
        images_of_part, labels = tf.constant(images)[first:end], tf.constant(LABELS)[first:end]
        # Known when the step is traced only if all parts are equal.
        return tf.ensure_shape(images_of_part, [share.size(len(images)), *images.shape[1:]]), labels

    return for_replicas(tf.data.Dataset.range(replicas).map(part).repeat())


def assert_same_weights(one, two):
    for a, b in zip(one.weights, two.weights, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5, err_msg=a.path)
"""

GATED = """

def shapes(units):
    return {site: unit.indicator.kernel.shape[2:] for site, unit in units.items()}


def train(strategy):
    with strategy.scope():
        networks = []
        for indicators in ("both", "none"):
            keras.utils.set_random_seed(0)
            networks.append(
                gated_resnet("both_shortcuts", width=4, image_size=(8, 8), num_classes=2, embedding_size=8,
                             indicators=indicators, stem="small")
            )
        student, teacher = networks
        units = gated_units(student)
        queue = EmbeddingQueue(32, {site: unit.filters for site, unit in units.items()})
        reset = GradientReset(queue, {site: range(unit.filters) for site, unit in units.items()}, every=2)
        fisher = FisherScore({site: unit.indicator.kept for site, unit in units.items()})
        fade = ChannelFade(shapes(units))
        parts = [reset, CompressionRule("lasso", 0.01), fisher, fade]
        distiller = Distiller(student, teacher, LossWeights(), parts)
        fade.start({site: np.eye(*shape) > 0 for site, shape in shapes(units).items()}, steps=2)
        # Far below the gradients' length: what is clipped is that of all replicas together.
        distiller.compile(MomentumSGD(0.01, global_clipnorm=0.5))
        logs = distiller.fit(batches(), steps_per_epoch=1, verbose=0, shuffle=False).history
    assert fade.steps_left.numpy() == 1, fade.steps_left
    assert not any(getattr(layer, "synchronized", False) for layer in student._flatten_layers())
    return student, reset, fisher, logs


one, one_reset, one_fisher, one_logs = train(tf.distribute.get_strategy())
two, two_reset, two_fisher, two_logs = train(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
assert_same_weights(one, two)
assert one_logs.keys() == two_logs.keys()
for name, values in one_logs.items():
    np.testing.assert_allclose(two_logs[name], values, rtol=1e-4, atol=1e-6, err_msg=name)
assert two_reset.queue.written.numpy() == one_reset.queue.written.numpy() == 7
for site, mask in one_reset.masks.items():
    np.testing.assert_allclose(two_reset.queue.rows[site], one_reset.queue.rows[site], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(mask.numpy(), two_reset.masks[site].numpy())
    np.testing.assert_allclose(one_fisher.sums[site].numpy(), two_fisher.sums[site].numpy(), rtol=1e-3, atol=1e-5)
assert one_fisher.images.numpy() == two_fisher.images.numpy() == 7
print("equal")
"""

STOCK = """

def train_stock(strategy):
    # Stock layers: gates in front of what reads, and readers that fade.
    with strategy.scope():
        keras.utils.set_random_seed(0)
        image = keras.Input((8, 8, 3))
        x = keras.layers.Conv2D(6, 3, name="a")(image)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.5)(x))
        x = keras.layers.Conv2D(6, 3, padding="same", activation="relu", name="b")(x)
        student = keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))
        found = sites(student)
        fisher = FisherScore({name: site.channels for name, site in found.items()})
        fade = ChannelFade({name: (1, site.channels) for name, site in found.items()}, held=found)
        task = {"task": (1.0, lambda labels, outputs, _: tf.reduce_mean(outputs**2))}
        weights = LossWeights(identity=0.0, triplet=0.0, logit=0.0, feature=0.0, embedding=0.0, relation=0.0)
        distiller = Distiller(student, None, weights, [fisher, fade], task, sites=found)
        fade.start({name: np.arange(6)[None] > 1 for name in found}, steps=2)
        distiller.compile(MomentumSGD(0.01))
        distiller.fit(batches(IMAGES[:6] / 255), steps_per_epoch=1, verbose=0, shuffle=False)
    return student, fisher


one, one_fisher = train_stock(tf.distribute.get_strategy())
two, two_fisher = train_stock(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
assert_same_weights(one, two)
for site, sums in one_fisher.sums.items():
    np.testing.assert_allclose(two_fisher.sums[site].numpy(), sums.numpy(), rtol=1e-3, atol=1e-9)
print("equal")
"""


@pytest.mark.slow
@pytest.mark.parametrize("script", [GATED, STOCK], ids=["gated", "stock"])
def test_two_replicas_equal_one(script, run_python):
    done = run_python("-c", SETUP + script)
    assert done.stdout.strip().endswith("equal"), done.stderr[-3000:]
