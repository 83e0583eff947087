"""Converter settings: converts a Keras model of pixels to the bytes of a `.tflite` file."""

import contextlib
import pathlib
import tempfile
import warnings

import keras
import numpy as np
import tensorflow as tf

from keras_cdd.models.copies import Copies
from keras_cdd.models.graph import graph_of, has_graph
from keras_cdd.quiet_start import quiet_start

PRECISIONS = ("float32", "float16", "dynamic_range", "int8")
INPUT_TYPES = ("uint8", "float32", "int8")


def to_tflite(model, precision, input_type="uint8", images=None, batch=None):
    """Converts a model to TFLite.

    The file's signature takes `image` (N, height, width, 3) and returns `embedding` (N, D) float32, not normalised.
    Pixels are 0..255 for uint8 and float32 input, and pixels minus 128 for int8 input. Only built-in operators are
    used.

    Args:
        model: `keras.Model` of float images 0..255. Its outputs are a dict with an `embedding`, or only the embedding.
        precision: one of `PRECISIONS`.
        input_type: one of `INPUT_TYPES`; "uint8" by default.
        images: uint8 (n, height, width, 3), representative images that determine the ranges of activations. Needed
            for "int8" only.
        batch: N, such as 1 for runtimes that refuse an open batch; None (the default) for any N.

    Returns:
        bytes of the `.tflite` file.

    Raises:
        ValueError: if the precision or input type is unknown, if images are missing for "int8", or if the converter
            refuses the model.
    """
    _check(precision, input_type, images)
    # An int8 graph gets its integer input from the converter, after calibration on floats.
    graph_input = "float32" if precision == "int8" else input_type
    with tempfile.TemporaryDirectory() as folder:
        saved = pathlib.Path(folder) / "saved_model"
        _save(_without_computed_shapes(model), graph_input, saved, batch)
        return convert_saved_model(saved, precision, input_type, images)


def convert_saved_model(folder, precision, input_type, images=None):
    """Converts a SavedModel whose serving signature takes `image` and returns `embedding`.

    Args:
        folder: folder of the SavedModel.
        precision, input_type, images: as in `to_tflite`. With "int8" and without images, the graph must contain all
            ranges, as it does after quantization-aware training.

    Returns:
        bytes of the `.tflite` file.

    Raises:
        ValueError: if the converter refuses the model.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "dynamic_range":
        # Runtimes before 2.15 do not support dense layers with a scale per output.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if precision == "int8":
        # Operators without an integer kernel stay in float; the report lists them.
        converter.inference_input_type = tf.as_dtype(input_type)
        if images is not None:
            converter.target_spec.supported_ops.insert(0, tf.lite.OpsSet.TFLITE_BUILTINS_INT8)
            converter.representative_dataset = lambda: _one_by_one(images)
    with _converter_warnings(), quiet_start():
        try:
            return converter.convert()
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            raise ValueError(f"The model cannot be converted to {precision}: {reason}") from error


def _check(precision, input_type, images):
    if precision not in PRECISIONS:
        raise ValueError(f"Argument `precision` must be one of {PRECISIONS}. Received: precision={precision!r}")
    if input_type not in INPUT_TYPES:
        raise ValueError(f"Argument `input_type` must be one of {INPUT_TYPES}. Received: input_type={input_type!r}")
    if precision == "int8" and (images is None or not len(images)):
        raise ValueError("Precision int8 needs representative `images`. Received: none")


def _without_computed_shapes(model):
    """Replaces `Reshape` layers, which look up the batch size at run time, by reshapes to (-1, ...).

    After a shape computed at run time, XNNPACK falls back to slower kernels or refuses the file. A model without a
    graph is returned unchanged.
    """
    if not has_graph(model):
        return model
    graph = graph_of(model)
    if not any(isinstance(operation, keras.layers.Reshape) for operation in graph.operations):
        return model
    copies = Copies(graph)

    def replaced(call, *args, **kwargs):
        if isinstance(call.operation, keras.layers.Reshape) and None not in call.output.shape[1:]:
            return keras.ops.reshape(*args, (-1, *call.output.shape[1:]))
        return copies(call, *args, **kwargs)

    return graph.replay(replaced)


def _save(model, input_type, folder, batch):
    """Writes a SavedModel that takes pixels of type `input_type`."""
    offset = 128.0 if input_type == "int8" else 0.0

    def serve(image):
        outputs = model(tf.cast(image, tf.float32) + offset if input_type != "float32" else image, training=False)
        return {"embedding": outputs["embedding"] if isinstance(outputs, dict) else outputs}

    archive = keras.export.ExportArchive()
    archive.track(model)
    image = tf.TensorSpec((batch, *model.inputs[0].shape[1:]), input_type, name="image")
    archive.add_endpoint("serve", serve, input_signature=[image])
    archive.write_out(str(folder), verbose=False)


def _one_by_one(images):
    for image in images:
        yield {"image": image[np.newaxis].astype(np.float32)}


@contextlib.contextmanager
def _converter_warnings():
    """Hides two warnings of the converter that a user cannot act on."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Statistics for quantized inputs were expected")
        warnings.filterwarnings("ignore", message=r"\s*Warning: tf.lite.Interpreter is deprecated")
        yield
