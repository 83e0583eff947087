"""A Keras model as a function of images."""

import keras
import tensorflow as tf


class KerasEmbedder:
    """Runs a functional model with one image input; of several outputs only `embedding` is computed.

    Args:
        model: functional or sequential `keras.Model` of images (N, height, width, 3) in 0..255.

    Attributes:
        image_size: (height, width) in pixels; None for a side of any length.
        embedding_size: D.
        network: the `keras.Model` from images to the embedding alone.
        compute: `tf.function` from images float32 to embeddings (N, D) in the model's own precision.

    Raises:
        ValueError: if the model is not built or does not take images, if none of several outputs is called
            `embedding`, or if the embedding is not of shape (N, D).
    """

    def __init__(self, model):
        inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
        if not inputs or not outputs:
            raise ValueError(f"Argument `model` must be a functional or built model. Received: model={model}")
        shapes = [tensor.shape for tensor in inputs]
        if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][3] != 3:
            raise ValueError(f"A model that embeds takes images (N, H, W, 3). Received: inputs {shapes}")
        self.image_size = tuple(shapes[0][1:3])
        self.network = network = keras.Model(inputs[0], _embedding(model))
        self.embedding_size = network.output.shape[-1]
        # One trace for batches of every size.
        signature = [tf.TensorSpec((None, *shapes[0][1:]), tf.float32)]
        self.compute = tf.function(lambda images: network(images, training=False), input_signature=signature)

    def __call__(self, images):
        """Embeddings (N, D) float32, not normalised, of images (N, height, width, 3) in 0..255."""
        return tf.cast(self.compute(tf.cast(images, tf.float32)), tf.float32).numpy()


def _embedding(model):
    if len(model.outputs) == 1:
        output = model.outputs[0]
    elif isinstance(model.output, dict) and "embedding" in model.output:
        output = model.output["embedding"]
    else:
        raise ValueError(f"One of several outputs must be called `embedding`. Received: {len(model.outputs)} outputs")
    if len(output.shape) != 2:
        raise ValueError(f"An embedding must be of shape (N, D). Received: output {output.shape}")
    return output
