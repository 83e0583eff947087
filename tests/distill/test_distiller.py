"""The training step on tiny networks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cdd.distill import (
    ChannelFade,
    CompressionRule,
    Distiller,
    EmbeddingQueue,
    FisherScore,
    GradientReset,
)
from keras_cdd.distill.feature_pairs import FeaturePairs
from keras_cdd.layers import FeatureRecorder, GatedBasicBlock, GatedBottleneck
from keras_cdd.losses import (
    LossWeights,
    compression_gradient,
    embedding_distillation_loss,
    identity_loss,
    relation_distillation_loss,
    triplet_loss,
)
from keras_cdd.models import BACKBONES, count_macs, gated_resnet
from keras_cdd.models.gated_units import gated_units
from keras_cdd.optimization import MomentumSGD
from keras_cdd.surgery import plan_surgery, rebuild

pytestmark = pytest.mark.usefixtures("eager")
LABELS = np.repeat(np.arange(4), 2).astype("int32")


@pytest.fixture(scope="module", autouse=True)
def few_blocks():
    """Both kinds of shortcut, and a block at another size; what a step does is the same for many blocks."""
    with pytest.MonkeyPatch.context() as patch:
        for name, block in (("basic", GatedBasicBlock), ("bottleneck", GatedBottleneck)):
            patch.setitem(BACKBONES, name, (block, (2, 1, 0, 0)))
        yield


def network(indicators="both", backbone="basic", indicator="dense"):
    keras.utils.set_random_seed(0)
    settings = {"width": 4, "image_size": (16, 16), "num_classes": 4, "embedding_size": 8, "stem": "small"}
    return gated_resnet(backbone, **settings, indicators=indicators, indicator=indicator)


def images(seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (8, 16, 16, 3)).astype("float32")


def batches(steps=4):
    return tf.data.Dataset.from_tensor_slices((np.stack([images(s) for s in range(steps)]), [LABELS] * steps))


def make_reset(student, teacher, **options):
    units = gated_units(student)
    widths = {site: unit.filters for site, unit in units.items()}
    kept = {site: unit.indicator.output_channels for site, unit in units.items()}
    return GradientReset(EmbeddingQueue(32, widths), kept, **options)


def fisher_of(student):
    return FisherScore({site: unit.indicator.kept for site, unit in gated_units(student).items()})


def fit(distiller, optimizer=None, steps=4):
    distiller.compile(optimizer or MomentumSGD(0.01))
    return distiller.fit(batches(steps), epochs=1, verbose=0, shuffle=False).history


def test_one_forward_a_step_moves_statistics_once_and_the_teacher_never():
    student, teacher = network(), network("none")
    before = [weight.numpy() for weight in teacher.weights]
    mean = student.get_layer("stem_bn").moving_mean.numpy()
    fit(Distiller(student, teacher), MomentumSGD(0.0), steps=1)
    batch = keras.Model(student.input, student.get_layer("stem_conv").output)(images()).numpy().mean((0, 1, 2))
    np.testing.assert_allclose(student.get_layer("stem_bn").moving_mean, 0.9 * mean + 0.1 * batch, rtol=1e-4, atol=1e-5)
    for array, weight in zip(before, teacher.weights, strict=True):
        np.testing.assert_array_equal(array, weight)


def test_every_loss_is_logged_and_weighted():
    weights = LossWeights()
    student, teacher = network(), network("none")
    teacher.get_layer("head_dense").kernel.assign(keras.random.normal(teacher.get_layer("head_dense").kernel.shape))
    history = fit(Distiller(student, teacher, weights), steps=1)
    parts = ("identity", "triplet", "logit", "feature", "embedding", "relation")
    total = sum(getattr(weights, name) * history[f"{name}_loss"][0] for name in parts)
    assert history["loss"][0] == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("indicator", ["dense", "diagonal"])
def test_channels_that_have_left_have_no_features_on_either_side(indicator):
    student, teacher = network(indicator=indicator), network("none")
    site, unit = next(iter(gated_units(student).items()))
    stays = np.arange(4) != 1
    unit.indicator.kernel.assign(unit.indicator.kernel * (np.outer(stays, stays) if indicator == "dense" else stays))
    pairs, records = FeaturePairs(student), []
    for model in (teacher, student):
        with FeatureRecorder() as record:
            model(images())
        records.append(record)
    for side in pairs(*records, {}):
        np.testing.assert_array_equal(np.any(side[pairs.names.index(site)] != 0, axis=0), stays)


def test_a_teacher_alone_learns():
    distiller = Distiller(network("none"))
    distiller.compile(MomentumSGD(0.02))
    losses = distiller.fit(batches(1), epochs=8, verbose=0, shuffle=False).history["loss"]
    assert losses[-1] < 0.8 * losses[0]


class FactorRecorder(FeatureRecorder):
    """Multiplies every gated activation by a factor of one image and channel: what a gate stands for."""

    def gate(self, site, activation):
        self.gates[site] = tf.ones([8, activation.shape[-1]])
        self.tape.watch(self.gates[site])
        return activation * self.gates[site][:, None, None, :]


@pytest.mark.parametrize("indicator", ["dense", "diagonal"])
def test_gates_give_the_gradient_of_a_factor_on_each_channel(indicator):
    student = network(indicator=indicator)
    fisher = fisher_of(student)
    fit(Distiller(student, parts=[fisher]), MomentumSGD(0.0), steps=1)
    assert float(fisher.images) == 8
    with tf.GradientTape() as tape:
        with FactorRecorder(tape=tape) as record:
            outputs = student(images(), training=True)
        # Of the sum over images, so that each image's gradient is its own.
        loss = 8 * (identity_loss(LABELS, outputs["logits"]) + triplet_loss(LABELS, outputs["features"]))
    for site, gradient in tape.gradient(loss, record.gates).items():
        expected = tf.reduce_sum(gradient**2, axis=0)
        np.testing.assert_allclose(fisher.sums[site], expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("indicator", ["dense", "diagonal"])
def test_the_mask_takes_the_tasks_pull_away(indicator):
    student, teacher = network(indicator=indicator), network("none")
    reset = make_reset(student, teacher)
    for mask in reset.masks.values():
        mask.assign(tf.zeros_like(mask))
    before = {site: unit.indicator.kernel.numpy() for site, unit in gated_units(student).items()}
    weight, rate = 0.1, 0.01
    distiller = Distiller(student, teacher, parts=[reset, CompressionRule("lasso", weight)])
    fit(distiller, MomentumSGD(rate, 0.0), steps=1)
    for site, unit in gated_units(student).items():
        expected = before[site] - rate * weight * compression_gradient(before[site]).numpy()
        # All rows and columns are alive, so no entry of the gradient is set to zero.
        np.testing.assert_allclose(unit.indicator.kernel, expected, atol=1e-6)


def test_the_reset_waits_for_its_step_and_takes_its_turns():
    student, teacher = network(), network("none")
    reset = make_reset(student, teacher, first_step=2, every=2)
    fit(Distiller(student, teacher, parts=[reset]), steps=6)
    assert float(reset.updates) == 2.0 and int(reset.queue.written) == 16
    counts = np.concatenate([count.numpy() for count in reset.counts.values()])
    assert counts.max() <= 2.0 and counts.max() > 0


def test_proximal_compression_ends_in_exact_zeros():
    student = network()
    distiller = Distiller(student, parts=[CompressionRule("proximal", 30.0)])
    fit(distiller, MomentumSGD(0.01, 0.0), steps=6)
    kernels = np.concatenate([unit.indicator.kernel.numpy().ravel() for unit in gated_units(student).values()])
    assert not kernels.any()


@pytest.mark.parametrize("indicator", ["dense", "diagonal"])
def test_proximal_compression_without_a_budget_slims_the_network(indicator):
    student = network(indicator=indicator)
    for unit in gated_units(student).values():
        kernel = unit.indicator.kernel
        kernel.assign(kernel * np.where(np.arange(kernel.shape[3]) % 4 == 1, 0.05, 1.0))
    # Four steps shrink every channel by 0.08: those of length 0.05 end, those of length 1 stay.
    fit(Distiller(student, parts=[CompressionRule("proximal", 2.0)]), MomentumSGD(0.01), steps=4)
    plan = plan_surgery(student)
    for site, cut in plan.cuts.items():
        np.testing.assert_array_equal(cut.outputs, np.flatnonzero(np.arange(cut.channels) % 4 != 1), err_msg=site)
    slim = rebuild(student, plan)
    assert count_macs(slim) == plan.macs[1] < 0.8 * count_macs(student)
    np.testing.assert_allclose(slim(images())["embedding"], student(images())["embedding"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("indicator", ["dense", "diagonal"])
def test_leaving_channels_fall_linearly_to_exact_zeros_and_the_others_do_not(indicator):
    student = network(indicator=indicator)
    kernels = {site: unit.indicator.kernel for site, unit in gated_units(student).items()}
    fade = ChannelFade({name: kernel.shape[2:] for name, kernel in kernels.items()})
    distiller = Distiller(student, parts=[fade])
    distiller.compile(MomentumSGD(0.0))
    staying = {site: np.ones(kernel.shape[2:], bool) for site, kernel in kernels.items()}
    site = next(iter(kernels))
    staying[site][:, 1] = False
    fade.start(staying, steps=3)
    seen = []
    for _ in range(4):
        distiller.fit(batches(1), verbose=0, shuffle=False)
        seen.append(kernels[site].numpy()[0, 0, :, 1].max())
    np.testing.assert_allclose(seen, [2 / 3, 1 / 3, 0, 0], atol=1e-6)
    assert seen[2] == 0.0
    for name, kernel in kernels.items():
        same = (np.eye(kernel.shape[3]) if indicator == "dense" else 1.0) * staying[name]
        np.testing.assert_array_equal(kernel.numpy()[0, 0], same, err_msg=name)


def mixed_precision_networks(indicators):
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        return network(indicators, "bottleneck"), network("none", "bottleneck")
    finally:
        keras.mixed_precision.set_global_policy("float32")


def test_in_mixed_precision_only_steps_that_were_taken_count():
    """The initial scale overflows in float16 in any case, so the first steps are skipped."""
    student, teacher = mixed_precision_networks("both")
    optimizer = keras.optimizers.LossScaleOptimizer(MomentumSGD(0.01), initial_scale=2.0**26)
    fisher = fisher_of(student)
    parts = [make_reset(student, teacher), CompressionRule("lasso", 0.01), fisher]
    distiller = Distiller(student, teacher, parts=parts)
    for _ in range(26):
        history = fit(distiller, optimizer, steps=1)
        if int(optimizer.inner_optimizer.iterations) == 2:
            break
    assert all(np.isfinite(values).all() for values in history.values())
    assert float(optimizer.dynamic_scale) < 2.0**26
    assert float(fisher.images) == 16
    assert all(np.isfinite(sums).all() and sums.numpy().any() for sums in fisher.sums.values())


def test_parts_that_cannot_work_are_refused():
    student, teacher = network(), network("none")
    with pytest.raises(ValueError, match="GradientReset needs a teacher"):
        Distiller(student, parts=[make_reset(student, teacher)])
    with pytest.raises(ValueError, match="'fisher' twice"):
        Distiller(student, parts=[fisher_of(student), fisher_of(student)])


def test_a_part_that_has_finished_does_nothing():
    student = network()
    fisher = fisher_of(student)
    fisher.cuts_are_over()
    fit(Distiller(student, parts=[fisher]), steps=1)
    assert fisher.finished and float(fisher.images) == 0


def test_a_teacher_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="blocks"):
        Distiller(network(backbone="resnet18"), network("none"))


def test_own_losses_count_beside_ours():
    def gap(labels, outputs, taught):
        return tf.reduce_mean((outputs["embedding"] - taught["embedding"]) ** 2) + tf.cast(labels[0], tf.float32)

    weights = LossWeights(triplet=0.0, logit=0.0, feature=0.0, embedding=0.0, relation=0.0)
    distiller = Distiller(network(), network("none"), weights, own_losses={"gap": (3.0, gap)})
    history = fit(distiller, steps=1)
    assert history["gap_loss"][0] > 0
    assert history["loss"][0] == pytest.approx(history["identity_loss"][0] + 3.0 * history["gap_loss"][0], rel=1e-5)


@pytest.mark.parametrize("length", [8, 5])
def test_given_embeddings_teach_in_place_of_a_teacher(length):
    student = network()
    given = np.random.default_rng(3).normal(size=(8, length)).astype("float32")
    weights = LossWeights(identity=0.0, triplet=0.0, embedding=5.0 if length == 8 else 0.0)
    outputs = student(images(), training=True)
    expected = {"relation_loss": relation_distillation_loss(given, outputs["embedding"])}
    if length == 8:
        expected["embedding_loss"] = embedding_distillation_loss(given, outputs["embedding"])
    distiller = Distiller(network(), weights=weights, given_embeddings=True)
    distiller.compile(MomentumSGD(0.01))
    data = tf.data.Dataset.from_tensors((images(), LABELS, given)).repeat(8)
    history = distiller.fit(data, epochs=1, steps_per_epoch=1, shuffle=False, verbose=0).history
    assert history.keys() == {"loss", *expected}
    for name, value in expected.items():
        np.testing.assert_allclose(history[name][0], float(value), rtol=1e-4)
    later = distiller.fit(data.repeat(), epochs=2, steps_per_epoch=8, shuffle=False, verbose=0).history["loss"]
    assert later[-1] < 0.9 * history["loss"][0]


def test_given_embeddings_beside_a_teacher_are_refused():
    with pytest.raises(ValueError, match="`given_embeddings` stands for a teacher"):
        Distiller(network(), network(), given_embeddings=True)
