"""The tf_keras copy, the simulated arithmetic, and training with it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from export.conversion.integer_form import integer_form
from export.conversion.qat.legacy_copy import legacy_copy
from export.conversion.qat.training import distillation_loss, quantization_aware, set_ranges, simulated, teaching, train
from export.proof.inspection import inspect
from export.proof.runtimes import embed_with
from keras_cdd.data import load_dataset
from keras_cdd.data.training_data import TrainingData
from keras_cdd.evaluation import load_embedder
from keras_cdd.evaluation.tflite_embedder import installed_runtimes
from keras_cdd.losses import embedding_distillation_loss, relation_distillation_loss
from keras_cdd.settings.config import DataConfig
from tests.export.conftest import SIZE, branched_network, cosines, tiny_network


def embeddings(network, photos):
    return network.predict(photos.astype(np.float32), verbose=0)["embedding"]


@pytest.fixture(scope="module", params=["avg", "gem"])
def copied(request):
    form = integer_form(tiny_network(request.param))
    return form, *legacy_copy(form)


def test_the_copy_computes_the_same(copied, photos):
    form, copy, start = copied
    assert isinstance(copy, tf_keras.Model)
    found = copy(start(photos.astype(np.float32))).numpy()
    np.testing.assert_allclose(found, embeddings(form, photos), rtol=1e-4, atol=1e-5)


def test_simulated_arithmetic_is_close_before_any_training(copied, photos):
    form, copy, start = copied
    quantized = simulated(copy)
    set_ranges(quantized, copy, start, photos)
    pixels = start(photos.astype(np.float32))
    # The first call in training takes over the weights' ranges.
    quantized(pixels, training=True)
    found = quantized(pixels, training=False).numpy()
    assert 0.99 < cosines(found, embeddings(form, photos)).min() < 0.999999


def test_weights_before_a_relu_are_rounded_too(copied):
    _, copy, _ = copied
    names = [weight.name for layer in simulated(copy).layers for weight in layer.weights]
    ranges = [name for name in names if "kernel_min" in name]
    rounded = [layer for layer in copy.layers if type(layer) in (tf_keras.layers.Conv2D, tf_keras.layers.Dense)]
    assert len(ranges) == len(rounded)


def test_a_mean_before_a_relu_has_a_range_of_its_own():
    copy, _ = legacy_copy(integer_form(tiny_network()))
    (pool,) = (layer for layer in copy.layers if isinstance(layer, tf_keras.layers.GlobalAveragePooling2D))
    assert [type(node.outbound_layer) for node in pool.outbound_nodes] == [tf_keras.layers.ReLU]
    names = [weight.name for layer in simulated(copy).layers for weight in layer.weights]
    assert any(pool.name in name and "output_min" in name for name in names)


def test_the_loss_is_the_one_of_training():
    rng = np.random.default_rng(0)
    teacher, student = (rng.normal(size=(6, 4)).astype(np.float32) for _ in range(2))
    unit = teacher / np.linalg.norm(teacher, axis=1, keepdims=True)
    parts = 5 * embedding_distillation_loss(teacher, student) + relation_distillation_loss(teacher, student)
    found = distillation_loss(tf.constant(unit), tf.constant(student))
    np.testing.assert_allclose(float(found), float(parts), rtol=1e-5)


def test_unknown_layers_are_named():
    image = keras.Input((*SIZE, 3))
    model = keras.Model(image, keras.layers.UpSampling2D(name="larger")(image))
    with pytest.raises(ValueError, match="larger.*UpSampling2D"):
        legacy_copy(model)


def batches():
    config = DataConfig(image_size=SIZE, identities_per_batch=4, images_per_identity=2)
    return TrainingData(load_dataset("synthetic"), config, seed=0).batches()


@pytest.mark.slow
def test_training_moves_all_kernels_in_proportion_and_keeps_them_numbers(photos):
    """The first kernel, which takes whole pixels, is a hundred times smaller; one channel is never active."""
    network = tiny_network()
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, np.concatenate([[-100.0], bias[1:]])])
    copy, start = legacy_copy(integer_form(network))
    quantized = simulated(copy)
    set_ranges(quantized, copy, start, photos)
    kernels = [weight for weight in quantized.trainable_weights if "/kernel" in weight.name]
    before = [kernel.numpy() for kernel in kernels]
    train(quantized, batches().map(teaching(network, start, copy.output_shape[-1])), steps=5)
    moved = [np.abs(w - old).mean() / np.abs(old).mean() for w, old in zip(kernels, before, strict=True)]
    assert len(moved) == 6 and 0 < np.max(moved) < 5 * np.median(moved)
    assert all(np.isfinite(weight).all() for weight in quantized.get_weights())


# Powers have no 8-bit kernel.
FLOAT = {"gem": {"ADD", "MEAN", "MUL", "POW"}, "branches": set()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FLOAT)
def test_a_trained_file_embeds_like_the_network(kind, photos, tmp_path):
    network = branched_network() if kind == "branches" else tiny_network(kind)
    content = quantization_aware(network, network, batches(), photos, steps=4, batch=1 if kind == "branches" else None)
    inside = inspect(content)
    assert set(inside.not_quantized) == FLOAT[kind]
    # Only of the pixels and after float operators: nothing is converted from one scale to another.
    assert inside.operators["QUANTIZE"] == (2 if kind == "gem" else 1)
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    assert load_embedder(path).batch == (1 if kind == "branches" else None)
    found = [embed_with(package, path, photos) for package in installed_runtimes()]
    assert cosines(found[0], embeddings(network, photos)).min() > 0.98
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-5)


def test_a_teacher_of_another_length_is_refused(network, photos):
    image = keras.Input((*SIZE, 3))
    teacher = keras.Model(image, keras.layers.GlobalAveragePooling2D()(image))
    with pytest.raises(ValueError, match="have 3 numbers and the student.s 8; take --qat_teacher=deploy"):
        quantization_aware(network, teacher, batches(), photos, steps=1)
