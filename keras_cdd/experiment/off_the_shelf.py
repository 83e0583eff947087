"""Networks as they come, without training on the data at hand, and what a run's table says of any model."""

import pathlib
import tempfile

import keras

from keras_cdd.evaluation.rescaled_embedder import RescaledEmbedder
from keras_cdd.evaluation.tflite_embedder import TFLiteEmbedder
from keras_cdd.experiment.latency import latency_ms
from keras_cdd.experiment.networks import make_network
from keras_cdd.models import count_macs, count_params
from keras_cdd.settings.config import Config, DataConfig, NetworkConfig, RunConfig


def pooled_backbone(backbone, pretrained, image_size, dataset):
    """A backbone whose embedding is its pooled features.

    Args:
        backbone: a name of `ALL_BACKBONES`.
        pretrained: "imagenet" or a file of weights, as `--pretrained` takes them.
        image_size: (height, width) in pixels.
        dataset: `RetrievalDataset`; decides about inverted pixels for weights without preprocessing of their own.

    Returns:
        A `keras.Model` from (N, height, width, 3) pixels in 0..255 to (N, C).

    Raises:
        UserError: if there are no such weights, or if they do not fit.
    """
    config = Config(
        data=DataConfig(image_size=tuple(image_size)),
        network=NetworkConfig(backbone=backbone),
        run=RunConfig(pretrained=pretrained),
    )
    network = make_network(config, dataset)
    return keras.Model(network.input, network.output["features"], name=network.name)


def of_size(network, image_size):
    """A model of images of any size as one of images of `image_size`, (height, width) in pixels."""
    image = keras.Input((*image_size, 3), name="image")
    return keras.Model(image, network(image), name=network.name)


def measured(embedder, path=None):
    """What a run's table says of a model besides its accuracy.

    Args:
        embedder: what `load_embedder` returns, or a `RescaledEmbedder` of it.
        path: the model's file. None (the default) for a Keras model without one, which is saved to be weighed.

    Returns:
        Dict of `bytes`; `latency_ms` of one image, on one thread for a `.tflite` file; and, for a Keras model whose
        graph can be followed, `num_params` and `macs`.
    """
    if isinstance(embedder, RescaledEmbedder):
        embedder = embedder.embedder
    if isinstance(embedder, TFLiteEmbedder):
        return {"bytes": pathlib.Path(path).stat().st_size, "latency_ms": latency_ms(TFLiteEmbedder(path, threads=1))}
    size = _saved_bytes(embedder.network) if path is None else pathlib.Path(path).stat().st_size
    return _costs(embedder.network) | {"bytes": size, "latency_ms": latency_ms(embedder)}


def _costs(model):
    try:
        return {"num_params": count_params(model), "macs": count_macs(model)}
    except ValueError:
        return {}


def _saved_bytes(model):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.keras")
        model.save(path)
        return path.stat().st_size
