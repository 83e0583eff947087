"""The walk finds what can leave, with the right costs, and says why the rest stays."""

import keras
import pytest

import keras_cdd
from keras_cdd.layers import GatedBasicBlock, GatedBottleneck, embedding_head
from keras_cdd.models import cost_model, count_macs, count_params
from keras_cdd.models.graph import graph_of
from keras_cdd.models.sites import rules
from tests.models.sites.small import SMALL, frozen, gated_stream, residual, squeezed

L = keras.layers


@pytest.mark.parametrize("couple", [False, True])
@pytest.mark.parametrize("build", SMALL, ids=lambda build: build.__name__)
def test_small_graphs(build, couple):
    model = build()
    found = keras_cdd.sites(model, residual=couple)
    assert {name: site.channels for name, site in found.items()} == SMALL[build][couple]
    for site in found.values():
        assert all(len(slot.positions) == site.channels for slot in [*site.slots, *site.fields])
    costs = cost_model(model, sites=found)
    assert costs.macs() == count_macs(model) and costs.params() == count_params(model)


def test_everything_that_stays_has_its_reason():
    found = keras_cdd.sites(frozen())
    reasons = {left.name: left.reason for left in found.left_out}
    assert "Softmax" in reasons["mixed"] and "EinsumDense" in reasons["a"] and "Reshape" in reasons["shuffled"]
    assert "output" in reasons["top"] and "grouped" not in reasons
    assert "addition" in {left.name: left.reason for left in keras_cdd.sites(residual()).left_out}["stem"]


def test_the_squeeze_is_left_out_by_default():
    model = squeezed()
    assert "squeeze" in {left.name for left in keras_cdd.sites(model).left_out}
    found = keras_cdd.sites(model, squeeze=True)
    assert found["squeeze"].channels == 2
    # What multiplies leaves together: the convolution, the depthwise one and the excitation.
    assert set(found["a"].layers) >= {"a", "squeeze", "excite", "b"}


def test_a_table_names_sites_what_leaves_with_them_and_what_stays():
    text = str(keras_cdd.sites(residual(), residual=True))
    rows = {line.split()[0]: line for line in text.splitlines()}
    assert "a2" in rows["stem"] and "stays" in rows["top"] and "output of the model" in rows["top"]
    # 3x3x6 and 1x1x6 at 8x8: what one channel of a1 costs.
    assert f"{64 * (9 * 6 + 6):,}" in rows["a1"]


def test_the_stream_of_gated_blocks_is_one_site():
    found = keras_cdd.sites(gated_stream(), residual=True)
    assert found["stem"].layers == ("stem", "block", "plain", "down")
    assert found["stem"].full_channels == 8 and found["down/conv3"].full_channels == 16
    # A block's gate stands on what it reads; the dense layer reads the last stream.
    assert [reading.layer for reading in found["stem"].readings] == ["block", "plain", "down"]
    assert [reading.layer for reading in found["down/conv3"].readings] == ["top"]
    reasons = {left.name: left.reason for left in keras_cdd.sites(gated_stream()).left_out}
    assert all("residual=True" in reasons[name] for name in ("stem", "block/conv2", "down/conv3", "down/shortcut"))


def test_a_cut_stream_knows_its_uncut_width():
    image = keras.Input((8, 8, 3))
    x = GatedBasicBlock(8, outer_filters=5, name="a")(L.Conv2D(5, 1, name="stem")(image))
    found = keras_cdd.sites(keras.Model(image, L.Dense(2)(x)), residual=True)
    assert (found["stem"].channels, found["stem"].full_channels) == (5, 8)


@pytest.mark.parametrize("pooling", ["avg", "gem"])
def test_features_keep_no_channels_but_other_outputs_do(pooling):
    image = keras.Input((8, 8, 3))
    outputs = embedding_head(L.Conv2D(6, 3, name="last")(image), 4, 3, pooling)
    found = keras_cdd.sites(keras.Model(image, outputs))
    assert found["last"].layers[:1] + found["last"].layers[-2:] == ("last", "head_bn1", "head_dense")
    without = {name: x for name, x in outputs.items() if name != "embedding"}
    assert "last" not in keras_cdd.sites(keras.Model(image, without))
    assert "head_dense" not in found


def test_looking_leaves_nothing_behind():
    model = residual()
    calls = len(graph_of(model).calls)
    config = model.get_config()
    keras_cdd.sites(model)
    assert model.get_config() == config and len(graph_of(model).calls) == calls


@keras.saving.register_keras_serializable("tests")
class Gain(L.Layer):
    """A factor a channel; no rule of its own at first."""

    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones", name="factor")

    def call(self, x):
        return x * self.factor


def with_gain():
    image = keras.Input((8, 8, 3))
    x = Gain(name="gain")(L.Conv2D(6, 3, name="a")(image))
    return keras.Model(image, L.Dense(2)(L.GlobalAveragePooling2D()(x)))


def test_a_rule_of_ones_own(monkeypatch):
    monkeypatch.setattr(rules, "_RULES", dict(rules._RULES))
    assert "Gain has weights and no rule" in {x.name: x.reason for x in keras_cdd.sites(with_gain()).left_out}["a"]

    @keras_cdd.site_rule(Gain)
    def gain(walk, call):
        channels = walk.channels(call.input)
        walk.scale(call.operation, call.operation.factor, 0, channels)
        return channels

    model = with_gain()
    assert keras_cdd.sites(model)["a"].layers[:2] == ("a", "gain")
    slim = keras_cdd.rebuild(model, keras_cdd.plan_surgery(model, target_macs=0.5))
    assert slim.get_layer("gain").factor.shape == (3,)


def test_a_subclass_may_compute_something_else():
    class Standardized(L.Conv2D):
        pass

    image = keras.Input((8, 8, 3))
    x = Standardized(5, 1, name="b")(L.Conv2D(6, 3, name="a")(image))
    reasons = {left.name: left.reason for left in keras_cdd.sites(keras.Model(image, x)).left_out}
    assert "Standardized" in reasons["a"]


def test_a_rule_that_gives_too_few_labels_is_named(monkeypatch):
    monkeypatch.setattr(rules, "_RULES", dict(rules._RULES))
    keras_cdd.site_rule(Gain)(lambda walk, call: walk.channels(call.input)[:-1])
    with pytest.raises(ValueError, match="Gain.*6 channels.*5 labels"):
        keras_cdd.sites(with_gain())


def test_what_hides_in_a_layer_keeps_its_channels():
    """A PReLU as an activation has weights of its own, LoRA hides the kernel."""
    image = keras.Input((8, 8, 3))
    x = L.Conv2D(6, 3, activation=L.PReLU(), name="a")(image)
    x = L.Dense(4, name="c")(L.Dense(5, name="b")(x))
    model = keras.Model(image, L.Dense(2, name="top")(x))
    model.get_layer("b").enable_lora(2)
    reasons = {left.name: left.reason for left in keras_cdd.sites(model).left_out}
    assert "activation" in reasons["a"] and list(keras_cdd.sites(model)) == ["c"]


def test_an_open_image_size_has_a_table_without_macs():
    image = keras.Input((None, None, 3))
    x = L.Conv2D(4, 3, name="a")(image)
    text = str(keras_cdd.sites(keras.Model(image, L.Dense(2)(L.GlobalAveragePooling2D()(x)))))
    assert "a " in text and "no number of MACs" in text


@pytest.mark.parametrize(
    "function, stays",
    [
        (lambda x: keras.ops.roll(x, 1, axis=-1), True),
        (lambda x: keras.ops.cumsum(x, axis=-1), True),
        (lambda x: keras.ops.softmax(x, axis=1), False),
        (lambda x: x / keras.ops.norm(x, axis=-1, keepdims=True), True),
        (lambda x: keras.ops.transpose(x, (0, 1, 3, 2)), True),
        (lambda x: keras.ops.maximum(x, 0.1), False),
        (lambda x: L.UpSampling2D()(L.Cropping2D(1)(x)), False),
        (lambda x: keras.ops.square(x) + 1.0, False),
        (lambda x: x[..., ::2], True),
        (lambda x: L.AveragePooling2D(6)(x), False),
        (lambda x: keras.ops.sqrt(x), False),
        (lambda x: keras.ops.log(keras.ops.sqrt(x)), False),
        (lambda x: keras.ops.sqrt(x - keras.ops.mean(x, axis=-1, keepdims=True)), True),
    ],
    ids=[
        "roll",
        "cumsum",
        "softmax",
        "norm",
        "transpose",
        "maximum",
        "resize",
        "square",
        "slice",
        "wide",
        "root",
        "log",
        "deviation",
    ],
)
def test_operations_without_weights_are_asked(function, stays):
    image = keras.Input((8, 8, 3))
    x = function(L.Conv2D(6, 3, name="a")(image))
    model = keras.Model(image, L.Dense(2)(L.GlobalAveragePooling2D()(x)))
    assert ("a" not in keras_cdd.sites(model)) == stays


class Gated(L.Layer):
    """The factor is its first input."""

    def call(self, factor, x):
        return keras.ops.sigmoid(factor) * x


def test_a_product_may_have_its_factor_first():
    image = keras.Input((8, 8, 3))
    x = Gated()(L.Conv2D(6, 3, name="factor")(image), L.Conv2D(6, 3, name="a")(image))
    found = keras_cdd.sites(keras.Model(image, L.Dense(2)(L.GlobalAveragePooling2D()(x))))
    assert len(found) == 1 and {"factor", "a"} <= set(next(iter(found.values())).layers)


def softmax_over(axis):
    def function(x):
        return keras.ops.softmax(x, axis=axis)

    return function


@pytest.mark.parametrize("axes", [(1, -1), (-1, 1)])
def test_functions_of_one_name_are_asked_one_by_one(axes):
    x = image = keras.Input((8, 8, 3))
    for axis in axes:
        x = L.Activation(softmax_over(axis))(L.Conv2D(6, 1, name=f"over{axis}")(x))
    found = keras_cdd.sites(keras.Model(image, L.Dense(2)(L.GlobalAveragePooling2D()(x))))
    assert list(found) == ["over1"]


@pytest.mark.parametrize("model", [None, "x.keras", L.Dense(3)], ids=["none", "path", "layer"])
def test_what_is_no_model_is_refused(model):
    with pytest.raises(ValueError, match="Argument `model` must be a functional Keras model.*Received: model="):
        keras_cdd.sites(model)


# Share of the MACs, in percent, that is gone at one channel a site and at half of the channels, without and with the
# additions; with the squeeze of squeeze-excitation.
REACH = {
    "MobileNetV2": ((99.6, 55.0), (99.8, 71.9)),
    "MobileNetV3Small": ((99.1, 53.9), (99.4, 68.0)),
    "EfficientNetB0": ((99.7, 54.3), (99.8, 71.7)),
    "EfficientNetV2B0": ((99.6, 53.2), (99.9, 74.0)),
    "MobileNet": ((99.9, 73.5), (99.9, 73.5)),
    "ResNet50": ((91.4, 57.9), (99.9, 74.2)),
    "ResNet50V2": ((90.5, 56.9), (99.9, 74.1)),
    "ConvNeXtTiny": ((93.2, 46.7), (93.2, 46.7)),
    "DenseNet121": ((99.9, 73.9), (99.9, 73.9)),
    "InceptionV3": ((100.0, 74.7), (100.0, 74.7)),
    "Xception": ((97.3, 55.8), (100.0, 74.5)),
    "VGG16": ((100.0, 74.8), (100.0, 74.8)),
    "gated_bottlenecks": ((85.5, 54.6), (99.5, 73.8)),
}
FAST = ("MobileNetV2", "MobileNetV3Small", "VGG16", "gated_bottlenecks")
REST = pytest.mark.applications


def reached(name):
    if name != "gated_bottlenecks":
        return getattr(keras.applications, name)(weights=None, input_shape=(96, 96, 3), classifier_activation=None)
    image = keras.Input((64, 64, 3))
    x = L.Conv2D(16, 3, padding="same")(image)
    for number, stride in enumerate((1, 2, 1)):
        x = GatedBottleneck(16, stride, "both", name=f"block{number}")(x)
    return keras.Model(image, L.Dense(10)(L.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize("name", [n if n in FAST else pytest.param(n, marks=REST) for n in REACH])
def test_reach(name):
    model = reached(name)
    for couple, expected in zip((False, True), REACH[name], strict=True):
        costs = cost_model(model, sites=keras_cdd.sites(model, couple, squeeze=True))
        full = count_macs(model)
        assert costs.macs() == full and costs.params() == count_params(model)
        halves = {site: width - width // 2 for site, width in costs.widths.items()}
        for widths, least in zip((dict.fromkeys(halves, 1), halves), expected, strict=True):
            assert round(100 * (1 - costs.macs(widths) / full), 1) >= least
