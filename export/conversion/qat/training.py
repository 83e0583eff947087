"""Quantization-aware training of the student by distillation of embeddings."""

import pathlib
import tempfile

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from keras_cdd.errors import UserError
from keras_cdd.evaluation.keras_embedder import KerasEmbedder

from ..integer_form import integer_form
from ..quantize import convert_saved_model
from .legacy_copy import FloatOperation, legacy_copy
from .rounding import Rounding

_quantization = tfmot.quantization.keras


def quantization_aware(model, teacher, batches, images, steps, input_type="uint8", batch=None):
    """Trains a copy of a model with simulated 8-bit arithmetic and converts it.

    Args:
        model: fused student, a functional Keras 3 model of images 0..255.
        teacher: Keras 3 model whose embeddings the copy learns; they must have the same length. The student itself
            can be the teacher.
        batches: infinite `tf.data.Dataset` of float32 images 0..255 and labels, augmented as in the student's
            training. Without augmentation the copy overfits and the embeddings of unseen images move.
        images: uint8 (n, height, width, 3); they set the initial ranges of the activations.
        steps: number of batches to train on.
        input_type: "uint8" (the default), "float32" or "int8".
        batch: as in `quantize.to_tflite`.

    Returns:
        bytes of a `.tflite` file with the same signature as those of `quantize.to_tflite`.

    Raises:
        UserError: if a layer does not support quantization-aware training, or if the teacher's embeddings have
            another length.
        ValueError: if the converter refuses the model.
    """
    network, start = legacy_copy(integer_form(model))

    def shifted(pixels):
        return start(tf.cast(pixels, tf.float32))

    quantized = simulated(network)
    set_ranges(quantized, network, shifted, images)
    train(quantized, batches.map(teaching(teacher, shifted, network.output_shape[-1])), steps)
    with tempfile.TemporaryDirectory() as folder:
        saved = pathlib.Path(folder) / "saved_model"
        _save(quantized, shifted, saved, batch)
        return convert_saved_model(saved, "int8", input_type)


def simulated(network):
    """A copy of the tf_keras network that rounds weights and activations where 8-bit kernels do; `set_ranges` is next.

    tfmot's default scheme is not used because it leaves the weights before a ReLU in float.
    """

    def annotate(layer):
        if isinstance(layer, tf_keras.layers.InputLayer):
            return layer
        return _quantization.quantize_annotate_layer(layer, Rounding(*_places(layer)))

    with _quantization.quantize_scope({cls.__name__: cls for cls in (FloatOperation, Rounding)}):
        annotated = tf_keras.models.clone_model(network, clone_function=annotate)
        for copy, layer in zip(annotated.layers[1:], network.layers[1:], strict=True):
            copy.layer.set_weights(layer.get_weights())
        return _quantization.quantize_apply(annotated, scheme=_AsAnnotated())


def _places(layer):
    """`(weights, output)`: whether training must simulate the rounding of a layer's weights, and of its output."""
    takers = list(_takers(layer))
    # Kernels fuse a ReLU into the layer before it, except into a mean. Inputs of a Concatenate are rounded there.
    computed_with_relu = takers == [_layers.ReLU] and not isinstance(layer, _layers.GlobalAveragePooling2D)
    rounded_later = computed_with_relu or _layers.Concatenate in takers
    # `_MOVERS` only move values that are already rounded.
    unrounded = rounded_later or isinstance(layer, FloatOperation | _MOVERS)
    # Depthwise weights hold BatchNorm's factors; with one scale per channel there is nothing to learn.
    return type(layer) in (_layers.Conv2D, _layers.Dense), not unrounded


def _takers(layer):
    """The classes of the layers that compute with a layer's output, looking through `_MOVERS`."""
    for node in layer.outbound_nodes:
        taker = node.outbound_layer
        yield from _takers(taker) if isinstance(taker, _MOVERS) else [type(taker)]


_layers = tf_keras.layers
_MOVERS = _layers.ZeroPadding2D | _layers.Cropping2D | _layers.MaxPooling2D | _layers.Flatten


class _AsAnnotated(_quantization.default_8bit.Default8BitQuantizeScheme):
    """Quantizes as annotated, without tfmot's layout changes."""

    def get_layout_transformer(self):
        return self

    def apply(self, model, layer_quantize_map):
        return model, layer_quantize_map


def _wrappers(quantized):
    return [layer for layer in quantized.layers if hasattr(layer, "quantize_config")]


def set_ranges(quantized, network, shifted, images, batch_size=16):
    """Initialises the range of every activation from real images.

    tfmot starts at -6..6 and moves by a thousandth per step, which is too slow for a few epochs.

    Args:
        quantized: result of `simulated`; changed in place.
        network: the tf_keras network that it was made from.
        shifted: function from pixels 0..255 to the network's input.
        images: uint8 (n, height, width, 3).
        batch_size: images per forward pass; 16 by default.
    """
    layers = network.layers[1:]
    every_output = tf.function(tf_keras.Model(network.input, [layer.output for layer in layers]))
    lows, highs = [], []
    for begin in range(0, len(images), batch_size):
        outputs = every_output(shifted(images[begin : begin + batch_size]))
        lows.append([float(tf.reduce_min(output)) for output in outputs])
        highs.append([float(tf.reduce_max(output)) for output in outputs])
    names = [layer.name for layer in layers]
    low, high = (dict(zip(names, np.mean(values, 0), strict=True)) for values in (lows, highs))
    for wrapper in _wrappers(quantized):
        for variable in wrapper.weights:
            if variable.name.endswith("output_min:0"):
                variable.assign(min(low[wrapper.layer.name], 0.0))
            if variable.name.endswith("output_max:0"):
                variable.assign(max(high[wrapper.layer.name], 0.0))


def teaching(teacher, shifted, length):
    """A function from a batch (images, labels) to (the copy's input, the teacher's unit embeddings (N, D)).

    Raises:
        UserError: if the teacher's embeddings do not have the given length.
    """
    taught = KerasEmbedder(teacher)
    if taught.embedding_size != length:
        raise UserError(
            f"The teacher's embeddings have {taught.embedding_size} numbers and the student's {length}; "
            "take --qat_teacher=deploy."
        )
    return lambda images, labels: (shifted(images), tf.math.l2_normalize(taught.compute(images), axis=-1))


def train(quantized, batches, steps):
    """Trains the simulated network in place on `steps` batches from `teaching`."""
    rate = tf_keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    # Adafactor scales steps with the weights: those of the first layer, which takes whole pixels, are a hundred times
    # smaller than the others. The square of the default epsilon underflows to 0, so that a channel that is never active
    # would give steps of NaN.
    optimizer = tf_keras.optimizers.Adafactor(rate, epsilon_1=1e-14, epsilon_2=1e-5, relative_step=False)
    quantized.compile(optimizer, loss=distillation_loss)
    quantized.fit(batches.prefetch(2), steps_per_epoch=steps, verbose=2)


LEARNING_RATE = 1e-4


def distillation_loss(teacher, student):
    """Embedding and relational distillation as in training: `1 - cosine`, and the squared difference of cosines.

    Args:
        teacher: unit embeddings (N, D).
        student: embeddings (N, D), not normalised.

    Returns:
        Scalar: 5 times the embedding loss plus the relational loss, the default weights of training.
    """
    student = tf.math.l2_normalize(student, axis=-1)
    embedding = 1.0 - tf.reduce_mean(tf.reduce_sum(teacher * student, -1))
    difference = tf.matmul(teacher, teacher, transpose_b=True) - tf.matmul(student, student, transpose_b=True)
    return 5.0 * embedding + tf.reduce_mean(tf.reduce_sum(difference * difference, -1))


def _save(quantized, shifted, folder, batch):
    """Writes a SavedModel that takes pixels and gives the converter their ranges, so that each grey level is exact."""

    image_shape = quantized.input_shape[1:]
    low, high = sorted(float(tf.reduce_min(shifted(tf.fill((1, *image_shape), level)))) for level in (0, 255))

    @tf.function(input_signature=[tf.TensorSpec((batch, *image_shape), tf.float32, name="image")])
    def serve(image):
        pixels = tf.quantization.fake_quant_with_min_max_args(image, min=0.0, max=255.0)
        inner = tf.quantization.fake_quant_with_min_max_args(shifted(pixels), min=low, max=high)
        return {"embedding": quantized(inner, training=False)}

    tf.saved_model.save(quantized, str(folder), signatures=serve)
