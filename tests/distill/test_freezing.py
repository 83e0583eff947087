"""Frozen first epochs and frozen BatchNorms: which weights a step changes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cdd.distill import Distiller
from keras_cdd.errors import UserError
from keras_cdd.layers import GatedBasicBlock, embedding_head
from keras_cdd.losses import LossWeights
from keras_cdd.models import BACKBONES, gated_resnet

L = keras.layers


def stock():
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3), name="image")
    x = L.Conv2D(4, 3, use_bias=False, name="conv")(image)
    x = L.ReLU(name="relu")(L.BatchNormalization(momentum=0.5, name="conv_bn")(x))
    return keras.Model(image, embedding_head(x, 4, num_classes=2))


def gated():
    keras.utils.set_random_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, "tiny", (GatedBasicBlock, (1, 1)))
        return gated_resnet("tiny", 4, (8, 8), num_classes=2, embedding_size=4, stem="small")


def batches(steps=2):
    images = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 3)).astype("float32")
    return tf.data.Dataset.from_tensors((images, np.array([0, 0, 1, 1], np.int32))).repeat(steps)


def values(model):
    return {weight.path: np.array(weight) for weight in model.weights}


def changed_by(distiller, epochs=1):
    """Paths of the weights that training changes."""
    before = values(distiller.student)
    distiller.fit(batches(), epochs=epochs, verbose=0, shuffle=False)
    return {path for path, value in values(distiller.student).items() if not np.array_equal(value, before[path])}


def distiller_of(model, mixed=False, **options):
    distiller = Distiller(model, weights=LossWeights(triplet=0.5), **options)
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, global_clipnorm=1.0)
    distiller.compile(keras.optimizers.LossScaleOptimizer(optimizer) if mixed else optimizer)
    return distiller


def is_statistic(path):
    return "moving_" in path


@pytest.mark.parametrize("make", [stock, gated])
@pytest.mark.parametrize("mixed", [False, True])
def test_first_the_head_alone_then_everything(make, mixed):
    distiller = distiller_of(make(), mixed)
    distiller.train_head_only(True)
    found = changed_by(distiller)
    assert found and all(path.startswith("head_") for path in found)
    assert any(is_statistic(path) for path in found)
    velocities = [slot for slot in distiller.optimizer.variables if "conv" in slot.path]
    assert velocities and not any(np.any(slot) for slot in velocities)
    distiller.train_head_only(False)
    found = changed_by(distiller)
    assert {weight.path for weight in distiller.student.trainable_weights} <= found
    assert {path for path in values(distiller.student) if is_statistic(path)} <= found
    assert int(distiller.optimizer.iterations) == 4


@pytest.mark.parametrize("make", [stock, gated])
def test_frozen_batch_norms_keep_their_statistics_and_learn_the_rest(make):
    model = make()
    for layer in model.layers:
        if layer.name.endswith("_bn"):
            layer.moving_mean.assign(layer.moving_mean + 0.1)
    found = changed_by(distiller_of(model, freeze_bn=True))
    assert {weight.path for weight in model.trainable_weights} <= found
    assert {path for path in found if is_statistic(path)} == {
        path for path in values(model) if is_statistic(path) and path.startswith("head_")
    }


def test_a_frozen_backbone_computes_as_in_inference():
    seen = []
    model = stock()
    distiller = distiller_of(
        model, own_losses={"seen": (0.0, lambda _, outputs, __: seen.append(outputs["features"]) or tf.constant(0.0))}
    )
    distiller.run_eagerly = True
    distiller.train_head_only(True)
    (images, _), *_ = batches()
    expected = model(images, training=False)["features"]
    distiller.fit(batches(1), verbose=0, shuffle=False)
    np.testing.assert_allclose(seen[0], expected, rtol=1e-5)
    assert np.abs(model(images, training=True)["features"] - expected).max() > 0.01
    assert all(layer.trainable for layer in model.layers)


def test_layers_that_the_user_has_frozen_stay_so():
    model = stock()
    model.get_layer("conv_bn").trainable = False
    distiller = distiller_of(model, freeze_bn=True)
    changed_by(distiller)
    assert not model.get_layer("conv_bn").trainable


def test_a_network_without_a_head_is_refused():
    image = keras.Input((8, 8, 3))
    x = L.GlobalAveragePooling2D()(L.Conv2D(4, 3)(image))
    outputs = {"features": x, "embedding": x, "logits": L.Dense(2, name="classes")(x)}
    distiller = distiller_of(keras.Model(image, outputs))
    distiller.train_head_only(True)
    with pytest.raises(UserError, match="--freeze_epochs trains layers called head_.*set it to 0"):
        distiller.fit(batches(), verbose=0, shuffle=False)
