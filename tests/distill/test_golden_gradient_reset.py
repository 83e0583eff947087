"""The gradient reset and whole training steps against the authors' code."""

import numpy as np
import pytest
import tensorflow as tf

from keras_cdd.distill.compression_rule import CompressionRule
from keras_cdd.distill.embedding_queue import EmbeddingQueue
from keras_cdd.distill.gradient_reset import GradientReset
from keras_cdd.losses import compression_gradient
from keras_cdd.optimization import MomentumSGD, WarmupCosine


def hwio(kernel):
    return kernel.transpose(2, 3, 1, 0)


def families(data):
    return sorted({key.split(".b0.")[0] for key in data if key.endswith(".b0.mask_accum")})


def settings(family):
    metric, ratio, neighbours = family.split("_")
    return {"metric": metric, "ratio": float(ratio[1:]), "neighbours": int(neighbours[1:])}


def make_reset(data, family):
    widths = data["meta_dims"]
    capacity = int(data["meta_batch_nbatch_queue"][2])
    queue = EmbeddingQueue(capacity, {f"b{j}": int(w) for j, w in enumerate(widths)})
    return GradientReset(queue, {f"b{j}": range(w) for j, w in enumerate(widths)}, **settings(family))


def ruled(reset, weight, site, kernel, task):
    """The gradient of an indicator by the two rules that make the paper's (eq. 8), one after the other."""
    masked = reset.indicator_gradient(site, kernel, task, 1.0)
    return CompressionRule("lasso", weight).indicator_gradient(site, kernel, masked, 1.0)


def test_golden_masks_and_gradients(golden):
    data = golden("crgr.npz")
    sites = [f"b{j}" for j in range(len(data["meta_dims"]))]
    assert families(data)
    for family in families(data):
        reset = make_reset(data, family)
        update = tf.function(reset.update)
        for batch in range(data["meta_batch_nbatch_queue"][1]):
            teacher = {site: tf.constant(data[f"{site}.t_map"][batch]) for site in sites}
            student = {site: tf.constant(data[f"{site}.s_map"][batch]) for site in sites}
            for site in sites:
                reset.counts[site].assign(tf.zeros_like(reset.counts[site]))
            update(teacher, student)
            for site in sites:
                mask = reset.masks[site].numpy()
                np.testing.assert_array_equal(mask, data[f"{family}.{site}.mask_accum"][batch])
                # A channel with the full count was unimportant for every image and neighbour of this batch.
                this_batch = (reset.counts[site].numpy() < 1.0).astype(np.float32)
                np.testing.assert_array_equal(this_batch, data[f"{family}.{site}.mask_this_batch"][batch])
                kernel, task = hwio(data[f"{site}.compactor"]), hwio(data[f"{site}.raw_grad"][batch])
                gradient = ruled(reset, 0.004, site, kernel, task)
                expected = hwio(data[f"{family}.{site}.masked_lasso_grad"][batch])
                np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7)
        for site in sites:
            np.testing.assert_array_equal(reset.queue.rows[site], data[f"{family}.{site}.queue_after"])


def test_golden_trajectory(golden):
    """Eight steps across the mask epoch, on the reference's pooled outputs (its teacher is in train mode)."""
    data = golden("trajectory.npz")
    base, momentum, weight_decay, weight = data["hp_baselr_momentum_wd_lasso"]
    epochs, steps, mask_epoch, capacity, _ = (int(v) for v in data["meta_epochs_spe_maskepoch_queue_batch"])
    last, delay, minimum, factor, warmup = data["sched_max_delay_etamin_factor_warmup"]
    schedule = WarmupCosine(base, last, steps, delay, minimum, warmup, factor)
    kernel = tf.Variable(hwio(data["w0"]), name="kernel")
    optimizer = MomentumSGD(schedule, momentum, coupled_weight_decay=weight_decay)
    optimizer.build([kernel])
    width = data["s_map"].shape[-1]
    queue = EmbeddingQueue(capacity, {"b": width})
    reset = GradientReset(queue, {"b": range(width)}, ratio=0.5, neighbours=2)
    for step in range(epochs * steps):
        rate = float(schedule(tf.constant(step)))
        assert rate == pytest.approx(float(data["lr_at_step"][step]), rel=1e-5)
        task = hwio(data["raw_grad"][step])
        if step // steps < mask_epoch:
            gradient = task + weight * compression_gradient(kernel)
        else:
            reset.update({"b": tf.constant(data["t_map"][step])}, {"b": tf.constant(data["s_map"][step])})
            gradient = ruled(reset, float(weight), "b", tf.convert_to_tensor(kernel), task)
        optimizer.apply([tf.cast(gradient, tf.float32)], [kernel])
        np.testing.assert_array_equal(reset.masks["b"], data["mask_after_step"][step])
        # A float64 derivation differs from the reference by 3e-7.
        np.testing.assert_allclose(kernel, hwio(data["w_after_step"][step]), rtol=1e-5, atol=1e-6)
