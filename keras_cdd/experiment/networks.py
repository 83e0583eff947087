"""Teacher and student as the settings describe them."""

import keras
import numpy as np

from keras_cdd.models import cost_model, gated_resnet
from keras_cdd.surgery import rebuild
from keras_cdd.surgery.plan import make_plan
from keras_cdd.surgery.sites import gated_units, indicator_kernels


def make_network(config, dataset, indicators, num_classes):
    """A fresh network."""
    network = config.network
    return gated_resnet(
        network.backbone,
        width=network.width,
        image_size=tuple(config.data.image_size),
        num_classes=num_classes,
        embedding_size=network.embedding_size,
        indicators=indicators,
        stem=network.stem,
        last_stride=network.last_stride,
        pooling=network.pooling,
        rescaling=dataset.rescaling,
    )


def copy_weights(source, target):
    """Gives every weight of `source` to the weight of the same path; gates of the target stay open.

    Raises:
        ValueError: naming weights of the source without a place, or with another shape.
    """
    places = {weight.path: weight for weight in target.weights}
    wrong = [w.path for w in source.weights if w.path not in places or places[w.path].shape != w.shape]
    if wrong:
        raise ValueError(
            f"The teacher does not fit the student: {len(wrong)} weights such as {wrong[0]}; "
            "train both with the same --backbone, --width, --embedding_size and data set."
        )
    for weight in source.weights:
        places[weight.path].assign(weight)


def static_student(heavy, kept, random):
    """The heavy student cut to given widths at once.

    Args:
        heavy: gated model.
        kept: a `.keras` file of a gated student whose channels to take, or counts separated by commas, a number a site.
        random: start from fresh weights instead of the heavy model's.
    """
    units = gated_units(heavy)
    if kept.endswith(".keras"):
        other = gated_units(keras.saving.load_model(kept, compile=False))
        if other.keys() != units.keys():
            raise ValueError(f"--kept_filters={kept} holds a network with other indicators; use the same settings.")
        channels = {site: unit.indicator.output_channels for site, unit in other.items()}
    else:
        counts = [int(count) for count in kept.split(",")]
        if len(counts) != len(units):
            raise ValueError(f"--kept_filters needs {len(units)} numbers, a site each. Received: {len(counts)}")
        channels = {site: range(count) for site, count in zip(units, counts, strict=True)}
    kernels, cut = indicator_kernels(heavy), {}
    for site, kernel in kernels.items():
        # Whole filters leave: what feeds only removed channels must be zero for the plan to see it.
        cut[site] = np.asarray(channels[site])
        kernels[site] = kernel * np.isin(np.arange(len(kernel)), cut[site])[:, None]
    importance = {site: np.ones(kernel.shape[1]) for site, kernel in kernels.items()}
    slim = rebuild(heavy, make_plan(cost_model(heavy), kernels, cut, importance))
    return keras.models.clone_model(slim) if random else slim
