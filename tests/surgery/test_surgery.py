"""Surgery's invariants, on tiny networks of all kinds."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cdd.layers import GatedBasicBlock, GatedBottleneck
from keras_cdd.models import cost_model, count_macs, count_params, gate_model, gated_resnet
from keras_cdd.models.gated_units import gated_units, indicator_kernels
from keras_cdd.optimization import MomentumSGD
from keras_cdd.surgery import fuse, plan_surgery, rebuild, silence
from keras_cdd.surgery.optimizer_slots import slots
from keras_cdd.surgery.schedule import CutSchedule
from keras_cdd.surgery.slicing import slice_all
from keras_cdd.surgery.trigger import worth_rebuilding


def tiny(indicators="both", indicator="dense", **options):
    """A user's functional model: two blocks of each kind, a branch, an odd image size."""
    image = keras.Input((15, 13, 3))
    x = keras.layers.Conv2D(8, 3, name="stem")(image)
    a = GatedBottleneck(4, 2, indicators, indicator=indicator, name="a")(x)
    b = GatedBasicBlock(16, 2, indicators, indicator=indicator, name="b")(x)
    x = keras.layers.Concatenate()([a, b])
    x = GatedBottleneck(8, 1, indicators, indicator=indicator, name="c")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(5, name="top")(x), **options)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "variance" in weight.path:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        else:
            weight.assign(weight + 0.05 * rng.normal(size=weight.shape))
    return model


def images(count=4):
    return np.random.default_rng(1).normal(size=(count, 15, 13, 3)).astype("float32")


OPTIMIZERS = {
    "sgd": lambda: MomentumSGD(0.05, 0.9, 1e-3, {"top": 2.0}),
    "keras_sgd": lambda: keras.optimizers.SGD(0.05, momentum=0.9),
    "adam": lambda: keras.optimizers.Adam(1e-2),
    "adamw": lambda: keras.optimizers.AdamW(1e-2, weight_decay=1e-3),
    "loss_scale": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(1e-2)),
}


def train(model, optimizer, steps, start=0):
    for step in range(start, start + steps):
        x = tf.constant(np.random.default_rng(10 + step).normal(size=(4, 15, 13, 3)).astype("float32"))
        with tf.GradientTape() as tape:
            loss = optimizer.scale_loss(tf.reduce_mean(model(x, training=True) ** 2))
        gradients = tape.gradient(loss, model.trainable_variables)
        # The training step keeps zeros at zero: rows of silenced filters would otherwise learn.
        gradients = [
            g * tf.cast(v != 0, g.dtype) if "indicator" in v.path else g
            for g, v in zip(gradients, model.trainable_variables, strict=True)
        ]
        optimizer.apply(gradients, model.trainable_variables)


@pytest.mark.parametrize("indicators, indicator", [("conv2", "dense"), ("both", "dense"), ("both", "diagonal")])
def test_keeping_everything_is_the_identity(indicators, indicator):
    model = tiny(indicators, indicator)
    plan = plan_surgery(model)
    assert plan.is_identity and plan.macs[0] == plan.macs[1] == plan.full_macs
    np.testing.assert_array_equal(rebuild(model, plan)(images()), model(images()))


@pytest.mark.parametrize(
    "name, whole_filters, indicator",
    [*itertools.product(OPTIMIZERS, [True, False], ["dense"]), ("adamw", True, "diagonal")],
)
def test_the_slim_run_follows_the_silenced_one(name, whole_filters, indicator):
    """Same outputs after the surgery, and the same weights several steps later, momentum included."""
    model, optimizer = tiny(indicator=indicator), OPTIMIZERS[name]()
    optimizer.build(model.trainable_variables)
    train(model, optimizer, 2)
    silence(model, plan_surgery(model, target_macs=0.6), optimizer, whole_filters)
    plan = plan_surgery(model)
    assert sum(cut.removed for cut in plan.cuts.values()) > 3
    assert whole_filters == all(len(cut.inputs) == len(cut.outputs) for cut in plan.cuts.values())
    slim, slim_optimizer = rebuild(model, plan, optimizer=optimizer)
    np.testing.assert_allclose(slim(images()), model(images()), atol=1e-5)
    train(model, optimizer, 3, start=2)
    train(slim, slim_optimizer, 3, start=2)
    np.testing.assert_allclose(slim(images()), model(images()), rtol=1e-3, atol=1e-4)
    again = plan_surgery(model)
    for site, cut in plan.cuts.items():
        np.testing.assert_array_equal(again.cuts[site].outputs, cut.outputs)
    expected = {weight.path: weight.numpy() for weight in rebuild(model, again).weights}
    for weight in slim.weights:
        np.testing.assert_allclose(weight, expected[weight.path], rtol=1e-3, atol=2e-4, err_msg=weight.path)


@pytest.mark.parametrize("name", ["keras_sgd", "adamw"])
def test_two_rebuilds_are_one(name):
    """Step by step or at once: the same shapes, weights and slots, all exactly, since both only take from the first."""
    model, optimizer = tiny(), OPTIMIZERS[name]()
    optimizer.build(model.trainable_variables)
    train(model, optimizer, 2)
    silence(model, plan_surgery(model, target_macs=0.8), optimizer)
    once, once_optimizer = rebuild(model, plan_surgery(model), optimizer=optimizer)
    # The second cut, made on the slim model and, by the channels' names, on the first one too.
    silence(once, plan_surgery(once, target_params=0.5), once_optimizer)
    twice, twice_optimizer = rebuild(once, plan_surgery(once), optimizer=once_optimizer)
    assert 0 < twice.count_params() < once.count_params() < model.count_params()
    for site, unit in gated_units(model).items():
        slim, indicator = gated_units(once)[site].indicator, unit.indicator
        rows = [indicator.input_channels.index(channel) for channel in slim.input_channels]
        columns = [indicator.output_channels.index(channel) for channel in slim.output_channels]
        kernel = np.zeros(indicator.kernel.shape, "float32")
        kernel[np.ix_([0], [0], rows, columns)] = slim.kernel
        indicator.kernel.assign(kernel)
    composed = plan_surgery(model)
    assert composed.kept_filters == plan_surgery(twice).kept_filters
    at_once, at_once_optimizer = rebuild(model, composed, optimizer=optimizer)
    channels = [
        {site: (unit.indicator.input_channels, unit.indicator.output_channels) for site, unit in gated_units(m).items()}
        for m in (at_once, twice)
    ]
    assert channels[0] == channels[1]
    assert [w.path for w in at_once.weights] == [w.path for w in twice.weights]
    for ours, theirs in zip(at_once.weights, twice.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)
    pairs = (at_once_optimizer, at_once), (twice_optimizer, twice)
    once, again = ({name: slot for name, slot, *_ in slots(o, m.trainable_variables)} for o, m in pairs)
    assert once.keys() == again.keys() and len(once) > len(at_once.trainable_variables)
    for name, slot in once.items():
        np.testing.assert_array_equal(slot, again[name], err_msg=name)
    np.testing.assert_allclose(twice(images()), at_once(images()), atol=1e-6)


def test_inputs_stay_untouched():
    model, optimizer = tiny(), keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    before = [weight.numpy() for weight in [*model.weights, *optimizer.variables]]
    rebuild(model, plan_surgery(model, target_macs=0.5), optimizer=optimizer)
    for array, weight in zip(before, [*model.weights, *optimizer.variables], strict=True):
        np.testing.assert_array_equal(array, weight)


@pytest.mark.parametrize("indicators, indicator", [("conv2", "dense"), ("both", "dense"), ("both", "diagonal")])
@pytest.mark.parametrize("measure", ["macs", "params"])
def test_a_budget_is_met_within_one_channel(indicators, indicator, measure):
    model = tiny(indicators, indicator)
    plan = plan_surgery(model, **{f"target_{measure}": 0.7})
    before, after = getattr(plan, measure)
    full = getattr(plan, f"full_{measure}")
    assert before == full and 0.65 * full < after <= 0.7 * full
    count = count_macs if measure == "macs" else count_params
    deploy = fuse(rebuild(model, plan))
    assert count(deploy) == count(rebuild(model, plan)) == after
    if measure == "params":
        assert deploy.count_params() == after


def test_rounded_channel_counts():
    model = gated_resnet("resnet18", width=16, image_size=(32, 32), embedding_size=8)
    plan = plan_surgery(model, target_macs=0.5, round_to=8)
    assert all(kept % 8 == 0 for kept in plan.kept_filters.values())
    assert plan.macs[1] <= 0.5 * plan.full_macs


def test_zeros_fill_up_rounded_channel_counts():
    """The model that a run with `--pad_channels` trains: the same outputs, with counts for which kernels are fast."""
    model = tiny()
    silence(model, plan_surgery(model, target_macs=0.4))
    exact, padded = (plan_surgery(model, round_to=count) for count in (1, 4))
    assert any(count % 4 for count in exact.kept_filters.values())
    slim = rebuild(model, padded)
    for site, unit in gated_units(slim).items():
        assert all(count % 4 == 0 for count in unit.indicator.kernel.shape[2:])
        assert 0 <= unit.indicator.kept - exact.kept_filters[site] < 4
    np.testing.assert_allclose(slim(images()), model(images()), atol=1e-5)
    assert plan_surgery(slim).kept_filters == exact.kept_filters
    assert plan_surgery(slim, round_to=4).is_identity


def test_a_budget_below_the_floor_names_the_floor():
    model = tiny()
    costs = cost_model(model)
    floor = costs.macs(dict.fromkeys(costs.widths, 1)) / costs.macs()
    with pytest.raises(ValueError, match=f"{floor:.4f}"):
        plan_surgery(model, target_macs=floor * 0.9)
    plan = plan_surgery(model, target_macs=floor * 1.0001)
    assert set(plan.kept_filters.values()) == {1}
    slim = rebuild(model, plan)
    assert np.isfinite(slim(images(1))).all() and np.isfinite(fuse(slim)(images(1))).all()
    np.testing.assert_allclose(fuse(slim)(images(1)), slim(images(1)), atol=1e-5)


@pytest.mark.parametrize(
    "aims", [{"target_macs": 0.5, "target_params": 0.5}, {"target_macs": 1.5}, {"target_macs": 0.0}]
)
def test_wrong_aims_are_refused(aims):
    with pytest.raises(ValueError, match="Received"):
        plan_surgery(tiny(), **aims)


def test_a_plan_prints_its_table():
    plan = plan_surgery(tiny(), target_macs=0.6)
    text = str(plan)
    assert all(site in text for site in plan.cuts) and "% of the MACs" in text


def test_fusing_changes_nothing_and_leaves_stock_layers(tmp_path):
    model = gated_resnet("resnet50", width=4, image_size=(32, 32), num_classes=3, embedding_size=8, pooling="gem")
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(weight + 0.05 * np.abs(rng.normal(size=weight.shape)))
    deploy = fuse(model)
    x = rng.uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    expected = model(x)["embedding"].numpy()
    assert list(deploy.output) == ["embedding"]
    np.testing.assert_allclose(deploy(x)["embedding"], expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    assert count_macs(deploy) == count_macs(model)
    assert all(type(layer).__module__.startswith("keras.") for layer in deploy.layers)


@pytest.mark.parametrize("outermost", ["functional", "Sequential"])
def test_models_inside_a_model_are_gated_cut_and_taken_apart(outermost):
    layers = keras.layers
    image = keras.Input((16, 16, 3))
    x = layers.ReLU()(layers.Conv2D(8, 3, padding="same")(image))
    y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(x)))
    y = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(y))
    backbone = keras.Model(image, layers.ReLU()(layers.Add()([y, x])), name="backbone")
    image = keras.Input((16, 16, 3))
    head = keras.Sequential([layers.GlobalAveragePooling2D(), layers.Dense(6, activation="relu"), layers.Dense(4)])
    if outermost == "functional":
        model = keras.Model(image, head(backbone(keras.Sequential([layers.Rescaling(0.01)])(image))))
    else:
        model = keras.Sequential([image, layers.Rescaling(0.01), keras.Sequential([backbone, head])])
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype("float32")
    heavy = gate_model(model, "both")
    assert sum(isinstance(layer, GatedBasicBlock) for layer in heavy._flatten_layers()) == 1
    np.testing.assert_allclose(heavy(pixels), model(pixels), atol=1e-5)
    silence(heavy, plan_surgery(heavy, target_params=0.7))
    # An optimizer has no state before its first step.
    slim, optimizer = rebuild(heavy, plan_surgery(heavy), optimizer=keras.optimizers.Adam(0.02))
    assert not optimizer.built and float(optimizer.learning_rate) == np.float32(0.02)
    np.testing.assert_allclose(slim(pixels), heavy(pixels), atol=1e-5)
    deploy = fuse(slim)
    np.testing.assert_allclose(deploy(pixels), slim(pixels), atol=1e-5)
    np.testing.assert_allclose(fuse(model)(pixels), model(pixels), atol=1e-5)
    assert not any(isinstance(layer, keras.Model | layers.BatchNormalization) for layer in deploy.layers)
    assert count_macs(deploy) == count_macs(slim) < count_macs(model)


def test_slicing_is_strict():
    arrays = {"a": np.zeros((3, 4)), "b": np.zeros(2)}
    with pytest.raises(ValueError) as error:
        slice_all(arrays, {"a": [(0, [0, 2])], "c": [(0, [0])]}, {"a": (3, 4), "d": (1,)})
    for part in ("a was cut to (2, 4)", "b has no place", "d of the slim model", "a cut names c"):
        assert part in str(error.value)


def test_a_schedule_ends_at_its_target_and_is_gentle_near_the_end():
    schedule = CutSchedule(target=0.3, floor=0.1, first_step=10, last_step=70, cuts=6)
    assert schedule.starts() == schedule.ends() == [20, 30, 40, 50, 60, 70]
    kept = [1.0, *(schedule.kept(cut) for cut in range(1, 7))]
    assert kept[-1] == 0.3
    drops = -np.diff(kept)
    assert np.all(drops > 0) and np.all(np.diff(drops) < 0)
    # Of what is above the floor, too, every cut takes a smaller part than the one before.
    above = np.array(kept) - 0.1
    assert np.all(np.diff(above[1:] / above[:-1]) > 0)


def test_with_fading_a_cut_ends_where_the_next_one_starts():
    schedule = CutSchedule(target=0.3, floor=0.1, first_step=10, last_step=70, cuts=5, fade=True)
    assert schedule.starts() == [20, 30, 40, 50, 60]
    assert schedule.ends() == [30, 40, 50, 60, 70]


def test_the_trigger():
    assert worth_rebuilding(100, 80, finished=False)
    assert not worth_rebuilding(100, 95, finished=False)
    assert worth_rebuilding(100, 95, finished=True)
    assert not worth_rebuilding(100, 100, finished=True)


def test_channels_that_are_gone_leave_before_worthless_ones():
    """A channel whose importance is 0 (a ReLU that never opens) still lives, and counts."""
    model = tiny()
    silence(model, plan_surgery(model, target_macs=0.8))
    gone = {site: ~np.any(kernel != 0, axis=0) for site, kernel in indicator_kernels(model).items()}
    worthless = {site: np.zeros(len(channels)) for site, channels in gone.items()}
    plan = plan_surgery(model, target_macs=0.7, importance=worthless)
    for site, cut in plan.cuts.items():
        assert not gone[site][cut.outputs].any(), site
