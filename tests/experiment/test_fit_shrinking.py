"""Plain training that shrinks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_cdd
from tests.models.networks import images_for
from tests.models.sites.small import depthwise, residual
from tests.surgery.stock import alive, flat_outputs

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

pytestmark = pytest.mark.usefixtures("eager")


def labelled(model, count=24):
    """Images whose brightest channel is their class."""
    labels = np.arange(count) % 3
    images = images_for(model, count) * 0.3
    images[np.arange(count), ..., labels] += 1.0
    return images, labels


@pytest.mark.slow
@pytest.mark.parametrize("measure", ["macs", "params"])
def test_a_classifier_learns_and_lands_on_its_budget(measure, capsys):
    keras.utils.set_random_seed(0)
    model = alive(residual())
    count = keras_cdd.count_macs if measure == "macs" else keras_cdd.count_params
    full, data = count(model), labelled(model)
    target = {f"target_{measure}": 0.6}
    slim, history = keras_cdd.fit_shrinking(
        model, data, LOSS, "adam", 6, residual=True, num_cuts=6, batch_size=12, validation_data=data,
        metrics=["accuracy"], **target,
    )  # fmt: skip
    assert 0.4 * full < count(slim) <= 0.6 * full
    assert history["loss"][-1] < history["loss"][0] and len(history["loss"]) == len(history["val_accuracy"]) == 6
    assert history["macs"] == sorted(history["macs"], reverse=True) and history["macs"][-1] == keras_cdd.count_macs(
        slim
    )
    assert all(type(layer).__module__.startswith("keras.") for layer in slim.layers)
    np.testing.assert_allclose(
        flat_outputs(keras_cdd.fuse(slim), data[0]), flat_outputs(slim, data[0]), rtol=1e-4, atol=1e-4
    )
    shown = capsys.readouterr().out
    assert shown.count("epoch ") >= 6 and "surgery after epoch" in shown


def test_norms_need_no_gates_and_a_data_set_its_length():
    model = alive(depthwise())
    images, labels = labelled(model)
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(12).repeat()
    options = {"epochs": 2, "target_macs": 0.7, "importance": "norm", "num_cuts": 2, "verbose": 0}
    with pytest.raises(ValueError, match="steps_per_epoch"):
        keras_cdd.fit_shrinking(model, batches, LOSS, **options)
    slim, _ = keras_cdd.fit_shrinking(model, batches, LOSS, "sgd", steps_per_epoch=2, **options)
    assert keras_cdd.count_macs(slim) <= 0.7 * keras_cdd.count_macs(alive(depthwise()))


def test_a_budget_out_of_reach_is_refused():
    model = residual()
    with pytest.raises(ValueError, match="out of reach"):
        keras_cdd.fit_shrinking(model, labelled(model), LOSS, target_macs=0.001)
