"""From images to embeddings, with a Keras model or a TFLite file."""

import pathlib

import keras
import numpy as np
import tensorflow as tf

from keras_cdd.evaluation.metrics import unit_length


def embed(model, batches, flip=False):
    """Embeddings (N, D) float32 of all batches.

    Args:
        model: function of float32 images (N, H, W, 3) in 0..255: a Keras model (of a dict of outputs the `embedding`
            is taken) or what `load_embedder` gives.
        batches: iterable of such images.
        flip: add the mirrored image's embedding, both at length 1.
    """
    compute = KerasEmbedder(model) if isinstance(model, keras.Model) else model
    parts = []
    for images in batches:
        embedding = np.asarray(compute(images))
        if flip:
            embedding = unit_length(embedding) + unit_length(np.asarray(compute(images[:, :, ::-1])))
        parts.append(embedding)
    return np.concatenate(parts)


def load_embedder(path):
    """A `.keras` or `.tflite` file as a function of images, with `image_size` (height, width) as attribute.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be loaded or embeds no images.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no model {path}; check the path.")
    try:
        if path.suffix == ".tflite":
            return TFLiteEmbedder(path)
        return KerasEmbedder(keras.saving.load_model(path, compile=False))
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"Model {path} cannot be loaded ({reason}); export or train it again.") from None


class KerasEmbedder:
    """Runs a Keras model with one image input; of a dict of outputs the `embedding` is taken.

    Raises:
        ValueError: if the model has several outputs and none of that name.
    """

    def __init__(self, model):
        outputs = model.output
        output = outputs["embedding"] if isinstance(outputs, dict) and "embedding" in outputs else outputs
        output = next(iter(output.values())) if isinstance(output, dict) and len(output) == 1 else output
        if isinstance(output, dict | list | tuple):
            raise ValueError("the model has several outputs and none is called `embedding`")
        shape = keras.tree.flatten(model.input)[0].shape
        network = keras.Model(model.input, output)
        # One trace for batches of every size.
        signature = [tf.TensorSpec((None, *shape[1:]), tf.float32)]
        self._compute = tf.function(lambda images: network(images, training=False), input_signature=signature)
        self.image_size = tuple(shape[1:3])

    def __call__(self, images):
        return self._compute(tf.cast(images, tf.float32)).numpy()


class TFLiteEmbedder:
    """Runs a `.tflite` file with one image input (float32, uint8 or int8) and one embedding output.

    Args:
        path: of the file.
        threads: of the interpreter.
    """

    def __init__(self, path, threads=2):
        self._interpreter = _interpreter_class()(model_path=str(path), num_threads=threads)
        self._input = self._interpreter.get_input_details()[0]
        self.image_size = tuple(int(side) for side in self._input["shape"][1:3])
        self._shape = None

    def __call__(self, images):
        if images.shape != self._shape:
            self._interpreter.resize_tensor_input(self._input["index"], images.shape)
            self._interpreter.allocate_tensors()
            self._shape = images.shape
        self._interpreter.set_tensor(self._input["index"], _quantized(images, self._input))
        self._interpreter.invoke()
        output = self._interpreter.get_output_details()[0]
        values = self._interpreter.get_tensor(output["index"])
        scale, zero = output["quantization"]
        return (values.astype(np.float32) - zero) * scale if scale else values.astype(np.float32)


def _quantized(images, details):
    if details["dtype"] == np.float32:
        return np.asarray(images, np.float32)
    scale, zero = details["quantization"]
    limits = np.iinfo(details["dtype"])
    return np.clip(np.rint(np.asarray(images) / scale + zero), limits.min, limits.max).astype(details["dtype"])


def _interpreter_class():
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        from tflite_runtime.interpreter import Interpreter
    return Interpreter
