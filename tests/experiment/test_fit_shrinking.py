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


ONCE = {
    "epochs": 1,
    "cut_end": 1,
    "target_macs": 1.0,
    "importance": "norm",
    "num_cuts": 1,
    "batch_size": 12,
    "verbose": 0,
}


def binary(dtype=None, **options):
    """A `Sequential` with one sigmoid output."""
    L = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            L.Conv2D(4, 3, activation="relu", name="a", dtype=dtype, **options),
            L.GlobalAveragePooling2D(),
            L.Dense(1, activation="sigmoid", dtype="float32"),
        ]
    )


def yes_or_no(count=24):
    labels = np.arange(count) % 2
    images = np.random.default_rng(0).uniform(0, 0.3, (count, 6, 6, 2)).astype("float32")
    images[..., 0] += labels[:, None, None]
    return images, labels


def test_a_sequential_validates_as_keras_evaluates():
    """Labels (N,) fit outputs (N, 1), with a loss and a metric by name; the regularizer counts in both losses."""
    keras.utils.set_random_seed(0)
    model, data = binary(kernel_regularizer="l2"), yes_or_no()
    slim, history = keras_cdd.fit_shrinking(
        model, data, "binary_crossentropy", "sgd", validation_data=data, metrics=["accuracy"], **ONCE
    )
    again = keras.Model(slim.inputs, slim.outputs[0])
    again.compile(loss="binary_crossentropy", metrics=["accuracy"])
    expected = again.evaluate(*data, batch_size=12, verbose=0, return_dict=True)
    assert history.keys() == {"loss", "macs", "val_loss", "val_accuracy"}
    for name, value in expected.items():
        np.testing.assert_allclose(history[f"val_{name}"], [value], rtol=1e-4)


def test_a_traced_step_computes_what_an_eager_one_does():
    losses = []
    for eagerly in (False, True):
        keras.utils.set_random_seed(0)
        tf.config.run_functions_eagerly(eagerly)
        model, data = binary(kernel_regularizer="l2", activity_regularizer="l2"), yes_or_no()
        _, history = keras_cdd.fit_shrinking(
            model, data, "binary_crossentropy", "sgd", validation_data=data, metrics=["accuracy"], **ONCE
        )
        losses.append(history["loss"] + history["val_loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_validation_forgets_the_epoch_before():
    data, metric = yes_or_no(), keras.metrics.BinaryAccuracy(name="right")
    metric.update_state([0.0] * 1000, [1.0] * 1000)
    still = keras.optimizers.SGD(0.0)
    _, history = keras_cdd.fit_shrinking(
        binary(), data, "mse", still, validation_data=data, metrics=[metric], **ONCE | {"epochs": 2}
    )
    assert history["val_right"][0] == history["val_right"][1] > 0.2
    np.testing.assert_allclose(history["val_loss"], history["loss"], rtol=1e-4)


def two_outputs():
    model = alive(depthwise())
    return keras.Model(model.input, {"class": model.output, "same": keras.layers.Dense(1)(model.output)})


def test_one_loss_for_several_outputs():
    def loss(labels, outputs):
        return LOSS(labels, outputs["class"]) + keras.ops.mean(outputs["same"] ** 2, axis=-1)

    model = two_outputs()
    data = labelled(model)
    with pytest.raises(ValueError, match="`metrics` must be empty"):
        keras_cdd.fit_shrinking(model, data, loss, metrics=["accuracy"], validation_data=data, **ONCE)
    with pytest.raises(ValueError, match="`loss` must be a function"):
        keras_cdd.fit_shrinking(model, data, "mse", **ONCE)
    slim, history = keras_cdd.fit_shrinking(model, data, loss, validation_data=data, **ONCE)
    expected = float(keras.ops.mean(loss(data[1], slim(data[0], training=False))))
    np.testing.assert_allclose(history["val_loss"], [expected], rtol=1e-4)


@pytest.mark.parametrize("importance", ["norm", "fisher"])
def test_regularizers_count(importance):
    """The gates of the Fisher score compute the model layer by layer."""
    model = binary(kernel_regularizer=keras.regularizers.L2(0.1), activity_regularizer=keras.regularizers.L1(0.1))
    images, labels = yes_or_no(12)
    model(images, training=True)
    expected = float(sum(model.losses))
    before = np.abs(model.layers[0].kernel.numpy()).sum()
    _, history = keras_cdd.fit_shrinking(
        model, (images, labels), lambda labels, outputs: 0.0 * outputs, keras.optimizers.SGD(0.1),
        **ONCE | {"importance": importance, "epochs": 2, "cut_end": 2},
    )  # fmt: skip
    np.testing.assert_allclose(history["loss"][0], expected, rtol=1e-4)
    assert expected > 0 and np.abs(model.layers[0].kernel.numpy()).sum() < before


def test_float16_needs_a_scaled_loss():
    """The gradients of this loss underflow in float16."""
    keras.utils.set_random_seed(0)
    model, data = binary("mixed_float16"), yes_or_no()
    before = model.layers[0].kernel.numpy()
    optimizer = keras.optimizers.SGD(1e7)
    slim, history = keras_cdd.fit_shrinking(
        model, data, lambda labels, outputs: 1e-8 * (outputs - labels) ** 2, optimizer, **ONCE
    )
    assert np.isfinite(history["loss"]).all()
    assert np.abs(slim.layers[-3].kernel.numpy() - before).max() > 1e-6


@pytest.mark.parametrize(
    "change, message",
    [
        ({"target_macs": None}, "Exactly one"),
        ({"target_params": 0.5}, "Exactly one"),
        ({"target_macs": 1.5}, "`target_macs` must be"),
        ({"epochs": 0}, "`epochs` must be"),
        ({"importance": "reset"}, "`importance` must be"),
        ({"num_cuts": 0}, "`num_cuts` must be"),
        ({"cut_end": 2}, "`cut_end` must be"),
        ({"cut_end": 0.5}, "`cut_end` must be at least two steps"),
        ({"metrics": ["accuracy"]}, "`metrics` needs `validation_data`"),
        ({"loss": None}, "`loss` must be the name.*Received: loss=None"),
        ({"optimizer": "adafactor"}, "`optimizer` must remember.*Received: Adafactor"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        keras_cdd.fit_shrinking(binary(), yes_or_no(), **{"loss": "mse"} | ONCE | change)


def batched(count=12, size=6, channels=2, **options):
    images = np.zeros((count, size, size, channels), "float32")
    return tf.data.Dataset.from_tensor_slices((images, np.zeros(count))).batch(6, **options)


class Sequence(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return yes_or_no(6)


WRONG = {
    "weights": (lambda: (*yes_or_no(), np.ones(24)), "must be arrays `.x, y.` or a `tf.data.Dataset`.*a tuple of 3"),
    "images alone": (lambda: yes_or_no()[0], "must be arrays.*a ndarray"),
    "PyDataset": (Sequence, "must be arrays.*a Sequence"),
    "generator": (lambda: (yes_or_no() for _ in range(2)), "must be arrays.*a generator"),
    "unequal": (lambda: (yes_or_no()[0], np.zeros(20)), "must have a label for every image.*24, 20"),
    "size": (lambda: (np.zeros((24, 10, 10, 2)), np.zeros(24)), "of shape .None, 6, 6, 2.*Received.*10, 10, 2"),
    "channels": (lambda: batched(channels=3), "of shape .None, 6, 6, 2.*Received.*6, 6, 3"),
    "single": (lambda: batched().unbatch(), "must have batches, `dataset.batch.32.` makes them.*.6, 6, 2"),
    "inputs": (lambda: ((np.zeros((24, 6, 6, 2)),) * 2, np.zeros(24)), "must have 1 inputs. Received: 2"),
}


@pytest.mark.parametrize("argument", ["data", "validation_data"])
@pytest.mark.parametrize("wrong", WRONG)
def test_data_that_does_not_fit_is_refused_before_training(wrong, argument):
    make, message = WRONG[wrong]
    model = binary()
    before, given = model.get_weights(), {"data": yes_or_no(), argument: make()}
    with pytest.raises(ValueError, match=f"Argument `{argument}` .*{message}"):
        keras_cdd.fit_shrinking(model, loss="mse", **ONCE | {"importance": "fisher"} | given)
    for array, weight in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(array, weight)


def test_a_missing_axis_of_one_entry_is_added_as_keras_does():
    number = keras.Input((1,))
    x = keras.layers.Dense(4, activation="relu", name="a")(number)
    model = keras.Model(number, keras.layers.Dense(1)(x))
    numbers = np.linspace(0, 1, 24, dtype="float32")
    _, history = keras_cdd.fit_shrinking(model, (numbers, 2 * numbers), "mse", **ONCE)
    assert np.isfinite(history["loss"]).all()


def test_cuts_can_end_before_a_tenth_of_the_epochs():
    options = ONCE | {"epochs": 11, "target_macs": 0.7}
    _, history = keras_cdd.fit_shrinking(binary(), yes_or_no(), "mse", **options)
    assert history["macs"][0] == history["macs"][-1] <= 0.7 * keras_cdd.count_macs(binary())


def subtracting(listed):
    """The order of its inputs is not that of their names."""
    L = keras.layers
    plus, minus = keras.Input((6, 6, 2), name="plus"), keras.Input((6, 6, 2), name="minus")
    x = L.GlobalAveragePooling2D()(L.Conv2D(4, 3, name="a")(L.Subtract()([plus, minus])))
    inputs = [plus, minus] if listed else {"plus": plus, "minus": minus}
    return keras.Model(inputs, L.Dense(1)(x))


@pytest.mark.parametrize("importance", ["norm", "fisher"])
@pytest.mark.parametrize("listed", [True, False])
def test_inputs_go_by_their_names(listed, importance):
    images, labels = yes_or_no()
    named = {"plus": images, "minus": 3.0 * images}
    keras.utils.set_random_seed(0)
    model = subtracting(listed)
    expected = float(np.mean((np.asarray(model(named))[:, 0] - labels) ** 2))
    options = ONCE | {"importance": importance}
    _, history = keras_cdd.fit_shrinking(
        model, (named, labels), "mse", keras.optimizers.SGD(0.0), validation_data=(named, labels), **options
    )
    np.testing.assert_allclose([history["loss"], history["val_loss"]], [[expected]] * 2, rtol=1e-4)


def test_unknown_names_of_inputs_are_refused_and_lists_are_taken():
    images, labels = yes_or_no()
    with pytest.raises(ValueError, match="must name the inputs minus, plus"):
        keras_cdd.fit_shrinking(subtracting(True), ({"plus": images, "other": images}, labels), "mse", **ONCE)
    with pytest.raises(ValueError, match="must have batches"):
        keras_cdd.fit_shrinking(binary(), tf.data.Dataset.from_tensors(images), "mse", **ONCE)
    _, history = keras_cdd.fit_shrinking(subtracting(True), ([images, images], labels), "mse", **ONCE)
    assert np.isfinite(history["loss"]).all()
